"""The judge's duty: ticks for every live study as far as they can be known, then the decisions.

Only the controller that leads does it. Should two ever believe that they lead, the version of
a study's state lets one of them win each tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rollout.model import RolloutId
from update_server.service.ports import Database
from update_server.service.ports.studies import StoredDecision, StudyHead
from update_server.service.studies.carry_out import Executor
from update_server.service.studies.codec import decode_settings
from update_server.service.studies.one_tick import Ticks

# A study that has much to catch up with must not keep the server from all else.
TICKS_AT_ONCE: Final = 50


class Judge:
    """What the controller calls, piece by piece, so that no study's failure is another's."""

    def __init__(self, database: Database, executor: Executor) -> None:
        self._database = database
        self._ticks = Ticks(database)
        self._executor = executor
        self._hurried: dict[RolloutId, bool] = {}

    @property
    def hurries(self) -> bool:
        """Whether some study's clock runs faster than ours, so that there is always news."""
        return any(self._hurried.values())

    def studies(self) -> Sequence[StudyHead]:
        """Return the live studies, and forget all others."""
        with self._database.reading() as stores:
            heads = stores.studies.live()
        self._ticks.forget(frozenset(head.rollout for head in heads))
        known = self._hurried
        self._hurried = {
            head.rollout: known[head.rollout]
            if head.rollout in known
            else decode_settings(head.settings).speed > 1
            for head in heads
        }
        return heads

    def judge(self, study: StudyHead, caught_up_to: datetime) -> int:
        """Make the ticks of *study* that are due, and return how many.

        *caught_up_to*: all that was received until then is stored.
        """
        for made in range(TICKS_AT_ONCE):
            if not self._ticks.one(study, caught_up_to):
                return made
        return TICKS_AT_ONCE

    def undone(self) -> Sequence[StoredDecision]:
        """Return the decisions that are to be carried out now."""
        return self._executor.undone()

    def carry_out(self, decision: StoredDecision) -> None:
        """Carry one decision out. Raises as ``Executor.carry_out``."""
        self._executor.carry_out(decision)
