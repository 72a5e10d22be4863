"""One step of a ladder under formulas: who has entered by when, and what an outcome tells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from update_server.evidence.fisher import SHARES
from update_server.evidence.ratio import MARGINS
from update_server.evidence.settings import HOUR, Metric
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.information import (
    of_gate,
    of_outcomes,
    of_silence,
    of_silence_gate,
)
from update_server.rehearsal.plan import Plan

# With everybody bricked the odds are infinite.
_ALMOST_ALL = 1 - 1e-9

Limit = tuple[str, float]
"""A metric, and what its gate has to rule out."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is rehearsed, in one step of its ladder. Hours are since that step opened."""

    plan: Plan
    fleet: Fleet
    harm: Harm
    position: int

    @property
    def is_internal(self) -> bool:
        """Whether the step is a ring of groups."""
        return self.plan.steps[self.position].exposure_bp is None

    @cached_property
    def share(self) -> float:
        """The share of candidates."""
        return self.plan.share(self.position)

    @property
    def is_compared(self) -> bool:
        """Whether the step has candidates and controls."""
        return 0 < self.share < 1

    @cached_property
    def controls(self) -> float:
        """Controls for each candidate."""
        return self.plan.controls_per_candidate(self.position)

    @property
    def bricked(self) -> float:
        """The share of candidates that is bricked."""
        return min(self.harm.bricked_share, _ALMOST_ALL)

    @cached_property
    def unhealthy(self) -> float:
        """The share of installs that show no health in time, with nothing wrong."""
        return max(1e-6, self.fleet.unhealthy(self.plan.settings))

    @cached_property
    def window_seconds(self) -> float:
        """The window after which an install is silent."""
        return self.fleet.silence_seconds(self.plan.settings)

    @cached_property
    def unhealthy_candidates(self) -> float:
        """The share of candidates that show no health in time."""
        return self.unhealthy + self.bricked * (1 - self.unhealthy)

    @cached_property
    def silent_controls(self) -> float:
        """The share of controls that do not come back in time."""
        strata = self.fleet.silence(self.plan.settings)
        # Installs that come less than once a week are in none.
        size_of_all = max(1e-9, sum(size for _, size in strata))
        return sum(base * size for base, size in strata) / size_of_all

    @property
    def silent(self) -> float:
        """The share of candidates that do not come back in time."""
        return self.silent_controls + self.bricked * (1 - self.silent_controls)

    @property
    def most_exposed(self) -> float:
        """How many installs may take the release in the end, with those of earlier steps."""
        fleet = self.fleet
        has_internal = any(step.exposure_bp is None for step in self.plan.steps[: self.position])
        internal = fleet.internal if has_internal or self.is_internal else 0
        return internal + (fleet.installs - internal) * self.share

    def heard(self, hours: float) -> float:
        """Return the share of installs that have checked in by then."""
        return self.fleet.heard_of(hours * HOUR)

    def candidates(self, hours: float) -> float:
        """Return how many candidates have entered by then."""
        return self.fleet.counted * self.share * self.heard(hours)

    def known(self, hours: float, window_seconds: float) -> float:
        """Return of how many candidates (or internal installs) an outcome is known by then.

        In a comparison, a cohort waits until it is large enough, or old enough.
        """
        if self.is_internal:
            return self.fleet.internal * self.heard(hours - window_seconds / HOUR)
        settings, wait = self.plan.settings, 0.0
        if self.is_compared:
            size = settings.cohort_installs / min(self.share, 1 - self.share)
            wait = settings.cohort_seconds * min(1.0, size / max(1.0, self.fleet.counted))
        return self.candidates(hours - (window_seconds + wait) / HOUR)

    @cached_property
    def harm_nats(self) -> dict[str, float]:
        """Nats against "no harm" for each candidate whose outcome is known, by metric."""
        if not self.bricked:
            return {}
        sick, base = self.unhealthy_candidates, self.unhealthy
        strata = self.fleet.silence(self.plan.settings)
        return {
            str(Metric.HEALTHY): of_outcomes(sick, base, self.controls) if sick > base else 0.0,
            str(Metric.SILENCE): of_silence(strata, self.bricked, self.controls),
        }

    @cached_property
    def gate_nats(self) -> dict[Limit, float]:
        """Nats against each limit that a gate can have, for each known outcome."""
        sick, base, r = self.unhealthy_candidates, self.unhealthy, self.controls
        strata = self.fleet.silence(self.plan.settings)
        found = {
            (str(Metric.HEALTHY), margin): of_gate(sick, base, r, margin) for margin in MARGINS
        }
        for share in SHARES:
            nats = of_silence_gate(strata, self.bricked, share, r)
            found[str(Metric.SILENCE), share] = nats
        return found
