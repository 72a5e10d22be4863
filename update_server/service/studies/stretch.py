"""The judge's clock, which may run faster than ours: for demonstrations only.

``Settings.speed`` says how much faster. Every instant and duration that the judge is told goes
through here, and comes back through here; it knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Both clocks read the same at ``origin`` (Unix seconds), when the study was opened."""

    origin: float
    speed: float = 1.0

    def instant(self, at: datetime) -> float:
        """Return what the judge's clock reads at *at*."""
        return self.seconds(at.timestamp())

    def seconds(self, at: float) -> float:
        """Return what the judge's clock reads when ours reads *at*, in Unix seconds."""
        if self.speed == 1.0:  # no rounding where nothing is stretched
            return at
        return self.origin + (at - self.origin) * self.speed

    def duration(self, seconds: float) -> float:
        """Return how many of the judge's seconds pass in *seconds* of ours."""
        return seconds * self.speed

    def back(self, at: float) -> datetime:
        """Return our instant at which the judge's clock reads *at*."""
        ours = at if self.speed == 1.0 else self.origin + (at - self.origin) / self.speed
        return datetime.fromtimestamp(ours, UTC)
