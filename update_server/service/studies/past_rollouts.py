"""What became of the last rollouts of a channel, and what the policy in force would make of it.

From what was decided then, and no more: nothing is judged anew. Where a rollout went by the ladder
that the policy names, the same reports would have led to the same decisions; what the policy says
is whether the server might have carried them out. Where it went by another one nobody knows,
for other steps would have shown other installs other things (``rehearsal.past`` asks what other
terms would have said of the same reports).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rollout.model import Policy, Rollout, RolloutState
from update_server.evidence.verdicts import Verdict
from update_server.service.ports import Stores
from update_server.service.ports.studies import StoredDecision

LOOKED_AT: Final = 100
"""Rollouts of the app among which those of the channel are looked for."""

_MOST_DECISIONS: Final = 1_000
_STOPS: Final = frozenset({Verdict.PAUSE.value, Verdict.PULL.value})
_LIVE: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})
_SAID: Final = (*_STOPS, Verdict.PROMOTE.value)


class Would(StrEnum):
    """What would have come of a rollout."""

    PAUSED = "paused"
    PULLED = "pulled"
    TOLD = "told"
    NOT_STOPPED = "not_stopped"
    UNKNOWN = "unknown"


WORDS: Final = {
    Would.PAUSED: "it would have paused there: it went by this ladder",
    Would.PULLED: "it would have been pulled there: it went by this ladder",
    Would.TOLD: "people would have been told, and nothing more: the policy leaves it to them",
    Would.NOT_STOPPED: "nothing reached a limit, and it went by this ladder",
    Would.UNKNOWN: "",
}
_NOT_JUDGED: Final = "it was not judged"
_OTHER_LADDER: Final = "it went by another ladder, which showed it to others"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRollout:
    """One rollout: the steps that the judge opened, and its first decision against it, if any."""

    rollout: Rollout
    promoted: tuple[StoredDecision, ...]
    stopped: StoredDecision | None
    same_ladder: bool
    would: Would
    why: str


def past_rollouts(
    stores: Stores, app: str, channel: str, policy: Policy, limit: int
) -> Sequence[PastRollout]:
    """Return the last *limit* rollouts of a channel, newest first."""
    found = stores.rollouts.of_app(app, limit=LOOKED_AT)
    rollouts = [each for each in found if each.channel == channel][:limit]
    ids = [each.id for each in rollouts]
    judged = stores.decisions.newest(ids)
    decisions = stores.decisions.of_verdicts(ids, _SAID, _MOST_DECISIONS)
    return [
        _past(
            rollout,
            [each for each in decisions if each.rollout == rollout.id],
            policy,
            judged=rollout.id in judged,
        )
        for rollout in rollouts
    ]


def _past(
    rollout: Rollout, decisions: Sequence[StoredDecision], policy: Policy, *, judged: bool
) -> PastRollout:
    stopped = next((each for each in decisions if each.verdict in _STOPS), None)
    same = rollout.ladder == policy.ramp
    would = _would(stopped, policy) if judged and same else Would.UNKNOWN
    why = WORDS[would] or (_OTHER_LADDER if judged else _NOT_JUDGED)
    if would is Would.NOT_STOPPED and rollout.state in _LIVE:
        why = f"so far {why}"
    return PastRollout(
        rollout=rollout,
        promoted=tuple(each for each in decisions if each.verdict == Verdict.PROMOTE),
        stopped=stopped,
        same_ladder=same,
        would=would,
        why=why,
    )


def _would(stopped: StoredDecision | None, policy: Policy) -> Would:
    if stopped is None:
        return Would.NOT_STOPPED
    if stopped.verdict == Verdict.PULL:
        return Would.PULLED if policy.automatic.pull else Would.TOLD
    return Would.PAUSED if policy.automatic.pause else Would.TOLD
