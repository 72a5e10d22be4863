"""One tick of a rollout's study: take the facts, keep what was counted, and judge."""

from __future__ import annotations

from collections.abc import Sequence

from update_server.evidence.facts import Fact
from update_server.evidence.judge import judge
from update_server.evidence.register import Register
from update_server.evidence.settings import Settings
from update_server.evidence.state import Log, State
from update_server.evidence.study import absorb
from update_server.evidence.verdicts import Judgement, Names


def advance(
    state: State,
    facts: Sequence[Fact],
    register: Register,
    log: Log,
    settings: Settings,
    now: float,
    *,
    can_pull: bool,
    can_hold: bool = True,
    names: Names,
) -> Judgement:
    """Return the judgement of the tick at *now*, which took *facts*.

    *state*, *register* and *log* are changed: the caller keeps all three in one transaction.
    Equal values give equal judgements, bit by bit.
    """
    log.add(absorb(state, facts, register, settings, now))
    return judge(state, log, settings, now, can_pull=can_pull, can_hold=can_hold, names=names)
