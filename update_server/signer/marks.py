"""Which signed state changed what is said of each rollout last.

A ticket bears its rollout's mark, so that it is void once anything else became of the
rollout: the approval that ended one pause must not end the next one, which looks the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rollout.documents import digests_of
from rollout.model import RolloutDocument, RolloutId
from update_server.service.ports.pending import LIFE

NEVER_CHANGED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The version of the state that changed a rollout's entry last, and when it was signed."""

    version: int
    at: datetime


Marks = Mapping[RolloutId, Mark]


def marks_after(
    marks: Marks, old: RolloutDocument | None, new: RolloutDocument, version: int, now: datetime
) -> dict[RolloutId, Mark]:
    """Return *marks* once *new* was signed after *old*, as the state *version*.

    Of rollouts that left, a mark is kept for as long as a ticket from before may live.
    """
    before, after = digests_of(old), digests_of(new)
    changed = {rollout for rollout, _ in before.items() ^ after.items()}
    kept = {
        rollout: mark
        for rollout, mark in marks.items()
        if rollout in after or now - mark.at <= LIFE
    }
    return kept | {rollout: Mark(version=version, at=now) for rollout in changed}


def mark_of(marks: Marks, rollout: RolloutId) -> int:
    """Return the version of the state that changed *rollout* last; 0 if none is remembered."""
    mark = marks.get(rollout)
    return NEVER_CHANGED if mark is None else mark.version
