"""Telling studies when nothing was received from anybody: a fault of ours, and no install's.

With a fleet about, silence of all of it means that the server, or the way to it, was down. The
same stretch of time stops the judge from giving a verdict while it lasts (``evidence.missing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.model import RolloutId
from update_server.evidence.cuts import MOST_FACTS
from update_server.evidence.facts import Fact, Outage, Past
from update_server.evidence.stages import STAGE_FACTS
from update_server.service.ports import Stores
from update_server.service.studies.attribution import Watched
from update_server.service.studies.codec import decode_fact, decode_state

_NO_SIGNS: Final = (*STAGE_FACTS, Outage, Past)
_PARTS: Final = 4
"""What takes more than a quarter of the silence window may not pass for the installs' silence."""


class Outages:
    """When each study last heard of anybody. Read once, and kept from then on."""

    def __init__(self) -> None:
        self._heard_at: dict[RolloutId, float | None] = {}

    def with_outages(self, stores: Stores, study: Watched, facts: Sequence[Fact]) -> list[Fact]:
        """Return *facts*, in the order of receipt, with the outage before each that ended one."""
        if study.rollout not in self._heard_at:
            self._heard_at[study.rollout] = _last_heard(stores, study.rollout)
        heard_at = self._heard_at[study.rollout]
        longest = study.settings.silence_minimum_seconds / _PARTS
        told: list[Fact] = []
        for fact in facts:
            if heard_at is not None and fact.at - heard_at > longest:
                told.append(Outage(at=fact.at, began_at=heard_at))
            told.append(fact)
            heard_at = fact.at if heard_at is None else max(heard_at, fact.at)
        self._heard_at[study.rollout] = heard_at
        return told


def _last_heard(stores: Stores, rollout: RolloutId) -> float | None:
    """Return when the study last heard of an install, in ticks or in what waits for one."""
    waiting = (decode_fact(body) for _, body in stores.studies.facts(rollout, MOST_FACTS))
    heard = [fact.at for fact in waiting if not isinstance(fact, _NO_SIGNS)]
    taken = decode_state(stores.studies.get(rollout).state).last_contact_at
    return max([*heard, *([] if taken is None else [taken])], default=None)
