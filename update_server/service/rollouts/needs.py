"""How many people a verb would need now: what an operator should know before asking.

The same judgement as the verb itself makes (``service.rollouts.control``), on what would be wanted
then. It binds nobody: whoever asks is judged again, by us and by the signer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from rollout import transitions
from rollout.changes import ChangeKind
from rollout.errors import IllegalTransitionError
from rollout.model import Rollout, RolloutState
from update_server.service.errors import InexpressibleError
from update_server.service.repository.desired import Desired, versions_named, wanted_of
from update_server.service.rollouts.changes import is_soaked

_Verb = Callable[[Rollout, datetime], Rollout]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a verb takes: so many people, the one who asks among them, and whether an override.

    ``people`` is None where nobody may do it, however many ask. ``why`` says what counts.
    """

    people: int | None
    override: bool = False
    why: tuple[str, ...] = ()


_ALIVE: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED, RolloutState.PULLED})

ONE_PERSON: Final = Needs(people=1)


def _promoted(rollout: Rollout, now: datetime) -> Rollout:
    new = transitions.promote(rollout, now)
    return transitions.complete(new, now) if is_soaked(new, now) else new


_WIDENING: Final[Mapping[str, _Verb]] = MappingProxyType(
    {"promote": _promoted, "resume": transitions.resume}
)


def needs_of(
    rollout: Rollout, verbs: Iterable[str], desired: Desired, now: datetime
) -> Mapping[str, Needs]:
    """Return what each of *verbs* would need, where *rollout* is one of those of *desired*."""
    lean = _lean(desired)
    return {verb: _needs(rollout, verb, lean, now) for verb in verbs}


def _lean(desired: Desired) -> Desired:
    """Return *desired* without the rollouts that are over, and that no document speaks of.

    There may be a thousand of these, and whatever is judged is judged by what documents say.
    """
    named = versions_named(desired.signed, desired.wanted)
    kept = tuple(each for each in desired.rollouts if each.state in _ALIVE or each.version in named)
    return replace(desired, rollouts=kept)


def _needs(rollout: Rollout, verb: str, desired: Desired, now: datetime) -> Needs:
    # A resume of what is active ends a suspension of the judge, which no document shows.
    if verb not in _WIDENING or (verb, rollout.state) == ("resume", RolloutState.ACTIVE):
        return ONE_PERSON
    try:
        new = _WIDENING[verb](rollout, now)
        after = _with(desired, new, now)
    except (IllegalTransitionError, InexpressibleError) as error:
        return Needs(people=None, why=(str(error),))
    change = after.judge(desired, now)
    if change.kind is ChangeKind.NEVER:
        return Needs(people=None, why=change.why)
    return Needs(
        people=max(1, change.approvals_needed),
        override=change.kind is ChangeKind.ESCALATION,
        why=change.why,
    )


def _with(desired: Desired, new: Rollout, now: datetime) -> Desired:
    """Return *desired* with *new* in the place of the rollout that it was."""
    rollouts = tuple(new if each.id == new.id else each for each in desired.rollouts)
    seconds = desired.wanted.next_check_in_seconds
    wanted = wanted_of(desired.policy, rollouts, desired.holds, now, seconds)
    return replace(desired, wanted=wanted, rollouts=rollouts)
