"""Telling studies when what was received is digested late: old news is not good news.

The study is told where the late records begin, and where they end. So the ticks that are made of
them, whoever makes them and whenever, promote and pull nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.model import RolloutId
from update_server.evidence.cuts import MOST_FACTS
from update_server.evidence.facts import Fact, Lag
from update_server.service.ports import Stores
from update_server.service.studies.attribution import Watched
from update_server.service.studies.codec import decode_fact, decode_state

LONGEST_LAG_SECONDS: Final = 60.0
"""How late a record may be digested, by our clock."""


class Lags:
    """Which studies were told that they lag. Read once, and kept from then on."""

    def __init__(self) -> None:
        self._told: dict[RolloutId, bool] = {}

    def with_lag(
        self, stores: Stores, study: Watched, facts: Sequence[Fact], seconds: float
    ) -> list[Fact]:
        """Return *facts*, digested *seconds* late, after word of that if it is news."""
        lags = seconds > LONGEST_LAG_SECONDS
        if not facts:
            return []
        if study.rollout not in self._told:
            self._told[study.rollout] = _lags(stores, study.rollout)
        if lags is self._told[study.rollout]:
            return list(facts)
        self._told[study.rollout] = lags
        return [Lag(at=facts[0].at, seconds=seconds if lags else 0.0), *facts]


def _lags(stores: Stores, rollout: RolloutId) -> bool:
    """Whether the study was told so, in ticks or in what waits for one."""
    waiting = (decode_fact(body) for _, body in stores.studies.facts(rollout, MOST_FACTS))
    told = [fact.seconds for fact in waiting if isinstance(fact, Lag)]
    return bool(told[-1] if told else decode_state(stores.studies.get(rollout).state).lag_seconds)
