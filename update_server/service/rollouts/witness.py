"""What is known of one install, and whether what it tells is evidence. Reads by its key alone.

Why it is none is found by the rules by which studies admit (docs/evidence.md, Who is compared).
What the study itself remembers goes first; where it remembers nothing, what it would have
asked at the door.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from rollout.model import RolloutId
from update_server.evidence.cohorts import is_capped
from update_server.evidence.register import Member
from update_server.evidence.settings import Settings
from update_server.evidence.state import State
from update_server.service.ports import NotFoundError, Stores
from update_server.service.ports.studies import History, LastContact, Progress, StoredStudy
from update_server.service.studies.codec import decode_member, decode_settings, decode_state
from update_server.service.studies.histories import is_aged
from update_server.service.studies.stretch import Stretch
from update_server.service.studies.watched import first_published


class NoEvidence(StrEnum):
    """Why an install is no evidence for or against a release."""

    NO_ROLLOUT = "no_rollout"
    NOT_JUDGED = "not_judged"
    NEVER_SEEN = "never_seen"
    SELF_SELECTED = "self_selected"
    LEFT = "left"
    NETWORK_CAP = "network_cap"
    INTERNAL = "internal"
    HELD = "held"
    TAKEN_FIRST = "taken_first"
    TOO_YOUNG = "too_young"
    PAUSED = "paused"
    NOT_ENTERED = "not_entered"


WORDS: Final = {
    NoEvidence.NO_ROLLOUT: "no rollout concerns it",
    NoEvidence.NOT_JUDGED: "the rollout is not judged, or is so no more",
    NoEvidence.NEVER_SEEN: "no check-in of it was counted",
    NoEvidence.SELF_SELECTED: "self-selected: its person asked for the update, so chance did not",
    NoEvidence.LEFT: "it left the comparison for good: asked for by hand once, or forgotten",
    NoEvidence.NETWORK_CAP: "network cap: too many installs of its network told of crashes",
    NoEvidence.INTERNAL: "it is in an internal ring, which is not drawn by lot",
    NoEvidence.HELD: "a hold keeps it where it is",
    NoEvidence.TAKEN_FIRST: "it was offered the release before all others",
    NoEvidence.TOO_YOUNG: "too young: it was not known for long enough when the release came out",
    NoEvidence.PAUSED: "nobody enters the comparison while the rollout is paused",
    NoEvidence.NOT_ENTERED: "it has not come since this step opened, or its check-in is not yet"
    " counted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Whether an install is evidence; else ``why_not``.

    ``entered_at`` is when it entered the stage that is open. ``arm`` is empty outside of one.
    """

    rollout: RolloutId | None = None
    why_not: NoEvidence | None = None
    arm: str = ""
    entered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What is known of one install; None and empty where nothing is.

    ``set_aside`` is by rule how many of its reports wait in quarantine: those are no evidence.
    """

    history: History | None
    last: LastContact | None
    progress: Progress | None
    set_aside: tuple[tuple[str, int], ...]
    counted: Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The install that is asked about. ``held``: a hold keeps it from being in an arm."""

    app: str
    key: bytes
    platform: str
    held: bool


def witness_of(stores: Stores, asked: Asked, rollout_id: RolloutId | None) -> Witness:
    """Return what is known of an install, and of it in the rollout that concerns it."""
    app, key = asked.app, asked.key
    history = stores.histories.get(app, [key]).get(key)
    last = stores.histories.last_contact(app, key)
    progress, counted = None, Counted(why_not=NoEvidence.NO_ROLLOUT)
    if rollout_id is not None:
        progress = stores.histories.progress_of(rollout_id, key)
        counted = _counted(stores, asked, rollout_id, history, last)
    return Witness(
        history=history,
        last=last,
        progress=progress,
        set_aside=tuple(stores.quarantine.of_install(app, key)),
        counted=counted,
    )


def _counted(
    stores: Stores,
    asked: Asked,
    rollout_id: RolloutId,
    history: History | None,
    last: LastContact | None,
) -> Counted:
    try:
        study = stores.studies.get(rollout_id)
    except NotFoundError:
        return Counted(rollout=rollout_id, why_not=NoEvidence.NOT_JUDGED)
    if study.ended_at is not None:
        return Counted(rollout=rollout_id, why_not=NoEvidence.NOT_JUDGED)
    state, settings = decode_state(study.state), decode_settings(study.settings)
    stretch = Stretch(origin=study.opened_at.timestamp(), speed=settings.speed)
    body = stores.registers.members(rollout_id, [asked.key]).get(asked.key)
    member = None if body is None else decode_member(body)
    if member is not None and member.stage == state.stage.number:
        return _inside(rollout_id, member, stretch)
    why = _outside(state, settings, member, last)
    if why is None:
        why = _at_the_door(stores, asked, study, state, settings, history)
    return Counted(rollout=rollout_id, why_not=why)


def _inside(rollout: RolloutId, member: Member, stretch: Stretch) -> Counted:
    arm = "internal" if member.internal else "candidate" if member.candidate else "control"
    return Counted(
        rollout=rollout,
        why_not=NoEvidence.INTERNAL if member.internal else None,
        arm=arm,
        entered_at=stretch.back(member.since),
    )


def _outside(
    state: State, settings: Settings, member: Member | None, last: LastContact | None
) -> NoEvidence | None:
    """Return why an install that the study remembers, or that chose itself, is out of it."""
    if member is not None:
        if member.left:
            chosen = last is not None and last.self_selected
            return NoEvidence.SELF_SELECTED if chosen else NoEvidence.LEFT
        if member.expelled == state.stage.number:
            return NoEvidence.NETWORK_CAP
        if is_capped(state.stage, member.network, settings):
            return NoEvidence.NETWORK_CAP
    if last is not None and last.self_selected:
        return NoEvidence.SELF_SELECTED
    return None


def _at_the_door(
    stores: Stores,
    asked: Asked,
    study: StoredStudy,
    state: State,
    settings: Settings,
    history: History | None,
) -> NoEvidence:
    if asked.held:
        return NoEvidence.HELD
    if history is None:
        return NoEvidence.NEVER_SEEN
    if history.taken_first == study.rollout:
        return NoEvidence.TAKEN_FIRST
    rollout = stores.rollouts.get(asked.app, study.rollout)
    origin = study.opened_at.timestamp()
    aged = is_aged(
        history,
        first_published(stores, rollout).get(asked.platform, origin),
        Stretch(origin=origin, speed=settings.speed),
        minimum_age_seconds=settings.minimum_age_seconds,
        minimum_check_ins=settings.minimum_check_ins,
    )
    if not aged and state.stage.exposure_bp is not None:
        return NoEvidence.TOO_YOUNG
    return NoEvidence.PAUSED if state.paused else NoEvidence.NOT_ENTERED
