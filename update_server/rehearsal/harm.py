"""What a release does to the installs that take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """The truth that a rehearsal knows and the judge has to find.

    ``crash_ratio`` multiplies each install's own rate of crashes. ``bricked_share`` of the installs
    never send anything again once they run it. ``platform`` limits both to one platform.
    """

    crash_ratio: float = 1.0
    bricked_share: float = 0.0
    platform: str | None = None

    def __post_init__(self) -> None:
        if self.crash_ratio < 0 or not 0 <= self.bricked_share <= 1:
            raise ValueError(
                f"no release crashes {self.crash_ratio} times as often or bricks "
                f"a share of {self.bricked_share}"
            )

    def affects(self, platform: str) -> bool:
        """Whether installs on *platform* are harmed."""
        return self.platform in {None, platform}


NOTHING_WRONG = Harm()
BRICKS_EVERYBODY = Harm(bricked_share=1.0)
