"""What is rehearsed: the steps of a ladder, and the settings that they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, fsum, inf

from rollout.model import FULL_EXPOSURE_BP, Step
from update_server.evidence.settings import DAY, HOUR, Gate, Settings

_MOST_DAYS = 90
_AFTER = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A ladder, and the judge's settings."""

    steps: tuple[Step, ...]
    settings: Settings

    def share(self, position: int) -> float:
        """Return the share of candidates in the step, 0 to 1; 0 in a ring of groups."""
        step = self.steps[position]
        if step.exposure_bp is None:
            return 0.0
        return min(step.exposure_bp, FULL_EXPOSURE_BP - step.holdback_bp) / FULL_EXPOSURE_BP

    def controls_per_candidate(self, position: int) -> float:
        """Return how many controls there are for each candidate; infinity in a ring of groups."""
        share = self.share(position)
        return (1 - share) / share if share > 0 else inf

    def gate(self, position: int) -> Gate:
        """Return what the step has to show. Raises ValueError in a ring of groups."""
        exposure_bp = self.steps[position].exposure_bp
        if exposure_bp is None:
            raise ValueError("a ring of groups has no gate")
        return self.settings.gate_for(exposure_bp)

    def budget(self, position: int) -> int:
        """Return how many reports a pause must survive losing in the step."""
        exposure_bp = self.steps[position].exposure_bp or 0
        return self.settings.budget if exposure_bp <= self.settings.budget_up_to_bp else 0

    def patience_seconds(self, position: int) -> float:
        """Return how long the step may take before a person is asked."""
        return max(self.settings.timeout_seconds, self.steps[position].soak_seconds)

    @property
    def horizon_hours(self) -> int:
        """How long to rehearse: until every step has had the time that it may take."""
        patience = fsum(self.patience_seconds(position) for position in range(len(self.steps)))
        return ceil(min(_MOST_DAYS * DAY, _AFTER * patience) / HOUR)
