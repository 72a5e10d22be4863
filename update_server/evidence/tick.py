"""One tick of the study under way: what it reads and changes, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from update_server.evidence.register import Member
from update_server.evidence.settings import Settings
from update_server.evidence.state import Label, Process, Scored, Stage, State


@dataclass(slots=True, kw_only=True)
class Tick:
    """The working values of one tick.

    ``members`` are those of the tick's facts, as far as they are known; ``changed`` those that
    are to be put back. ``entries`` is what the log gets. ``cohort_is_open``: somebody entered;
    ``cohort_divides``: so many that all crash strata are told apart.
    """

    state: State
    settings: Settings
    now: float
    members: dict[bytes, Member]
    changed: dict[bytes, Member] = field(default_factory=dict)
    entries: list[Label | Scored] = field(default_factory=list)
    cohort_is_open: bool = False
    cohort_divides: bool = False

    @property
    def stage(self) -> Stage:
        """The present stage."""
        return self.state.stage

    def counted(self, install: bytes) -> Member | None:
        """Return the member if what happens to it counts: it is in this stage and not held."""
        member = self.members.get(install)
        return member if member is not None and self.takes_part(member) else None

    def takes_part(self, member: Member) -> bool:
        """Whether *member* is in this stage and its platform is not kept back."""
        return member.stage == self.state.stage.number and member.platform not in self.state.held

    def process(self, metric: str, platform: str, empty: Callable[[], list[float]]) -> Process:
        """Return the process of *metric* on *platform* in this epoch, begun if there is none."""
        by_platform = self.state.epoch.processes.setdefault(metric, {})
        if platform not in by_platform:
            by_platform[platform] = Process(vector=empty())
        return by_platform[platform]
