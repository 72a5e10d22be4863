"""Telling people of what becomes of a rollout, in the transaction in which it does.

Not here: the words (``service.notices.announcements``), what only the judge's ticks show
(``service.notices.verdict_news``), and delivering (``service.notices.deliver``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from rollout.compose import shape_at
from rollout.model import Actor, Rollout, RolloutId, RolloutState
from update_server.service.access.caller import AUTOMATIC
from update_server.service.errors import NotRegisteredError
from update_server.service.notices import announcements
from update_server.service.notices.alerting import (
    Reason,
    acknowledge,
    end,
    end_with,
    name_of,
    open_about,
    page,
)
from update_server.service.notices.message_text import Said
from update_server.service.notices.scene import Reach, Scene
from update_server.service.ports import NotFoundError, StoredHold, Stores
from update_server.service.ports.outbox import Level, Message
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.desired import documents_of

_LIVE: Final = frozenset({RolloutState.ACTIVE, RolloutState.PAUSED})
_LOOKED_AT: Final = 20
_TYPES: Final = {
    "start": "serinus.rollout.started",
    "promote": "serinus.rollout.promoted",
    "pause": "serinus.rollout.paused",
    "resume": "serinus.rollout.resumed",
    "pull": "serinus.rollout.pulled",
    "complete": "serinus.rollout.completed",
    "supersede": "serinus.rollout.superseded",
    "take_back": "serinus.rollout.taken_back",
    "hold": "serinus.rollout.held",
    "new_signature": "serinus.alert.new_signature",
}
# What is not looked at any more once a rollout is paused, or is at another step.
_OF_STEP: Final = frozenset({Reason.NO_VERDICT, Reason.SILENT, Reason.ADVISED})
_PAGES: Final = {"pause": Reason.PAUSED, "pull": Reason.PULLED}


def tell_start(stores: Stores, rollout: Rollout, actor: str) -> None:
    """Tell of a new rollout. It is what is done about releases of the channel that were pulled."""
    scene = scene_of(stores, rollout, rollout.started_at, actor, rollout.reason)
    message = message_of(rollout, "start", actor, announcements.started(scene))
    pulled = [
        alert
        for alert in stores.alerts.unresolved(rollout.app)
        if alert.reason == Reason.PULLED and _channel(stores, alert.rollout, rollout) is not None
    ]
    stores.outbox.add(end_with(stores, message, pulled))


def tell_change(
    stores: Stores, old: Rollout, new: Rollout, *, actor: str, verb: str, reason: str
) -> None:
    """Tell of a change of a rollout, and end the alerts that it makes an end of."""
    decision = decision_behind(stores, new, reason) if actor == AUTOMATIC.name else None
    scene = scene_of(stores, new, new.changed_at, actor, reason, decision)
    said = announcements.in_words(
        lambda: _said(verb, scene, new, decision), scene, new.state.value, reason
    )
    message = message_of(new, verb, actor, said, decision)
    over = _made_an_end_of(old, new)
    about = open_about(stores, new.app, new.id)
    ended = [each for each in about if each.reason.partition(":")[0] in over]
    message = end_with(stores, message, ended)
    if actor == AUTOMATIC.name and verb in _PAGES and page(stores, message, _PAGES[verb]):
        return
    stores.outbox.add(message)
    if actor != AUTOMATIC.name:
        acknowledge(stores, new.app, new.id, actor, new.changed_at)


def tell_unsuspended(stores: Stores, rollout: Rollout, now: datetime, actor: str) -> None:
    """Tell that a person had a rollout judged again."""
    for alert in open_about(stores, rollout.app, rollout.id):
        if alert.reason == Reason.SUSPENDED:
            end(stores, alert, now, by=actor)


def tell_held(stores: Stores, held: StoredHold, actor: str) -> None:
    """Tell of a platform that the judge keeps back from one rollout."""
    if held.rollout is None or actor != AUTOMATIC.name:
        return
    rollout = stores.rollouts.get(held.app, held.rollout)
    decision = decision_behind(stores, rollout, held.reason)
    if decision is None:
        return
    scene = scene_of(stores, rollout, held.created_at, actor, held.reason, decision)
    platform = str(decision.record["hold"])
    said = announcements.held(scene, decision.record, platform, held.reason)
    message = message_of(rollout, "hold", actor, said, decision)
    message = replace(
        message, id=name_of("msg", rollout.id, "hold", held.hold.id), at=held.created_at
    )
    page(stores, message, f"{Reason.HELD}:{held.hold.id}")


def tell_lifted(stores: Stores, held: StoredHold, now: datetime, actor: str) -> None:
    """Tell that a person ended such a hold."""
    for alert in open_about(stores, held.app, held.rollout or ""):
        if alert.reason == f"{Reason.HELD}:{held.hold.id}":
            end(stores, alert, now, by=actor)


# --- what is told -------------------------------------------------------------------------


def message_of(
    rollout: Rollout, verb: str, actor: str, said: Said, decision: StoredDecision | None = None
) -> Message:
    """Return the message of a change: the same for the same revision of the rollout."""
    return Message(
        id=name_of("msg", rollout.id, rollout.revision, verb),
        at=rollout.changed_at,
        type=_TYPES[verb],
        level=Level.INFORMS,
        subject=said.subject,
        text=said.text,
        sentence=said.sentence,
        app=rollout.app,
        channel=rollout.channel,
        rollout=rollout.id,
        version=str(rollout.version),
        ring=rollout.step.ring,
        state=rollout.state.value,
        actor=actor,
        decision=None if decision is None else decision.record,
    )


def decision_behind(stores: Stores, rollout: Rollout, reason: str) -> StoredDecision | None:
    """Return the decision that the judge gives as the *reason* of what it does."""
    for each in stores.decisions.page(rollout.app, rollout=rollout.id, limit=_LOOKED_AT):
        if reason.endswith(str(each.record["sentence"])):
            return each
    return None


def scene_of(
    stores: Stores,
    rollout: Rollout,
    at: datetime,
    actor: str,
    reason: str = "",
    decision: StoredDecision | None = None,
) -> Scene:
    """Return what is to be known of a rollout to speak of it."""
    versions = [
        (version, installs)
        for channel, _, version, installs in stores.telemetry.versions(rollout.app)
        if channel == rollout.channel
    ]
    of = sum(installs for _, installs in versions)
    return Scene(
        app=rollout.app,
        channel=rollout.channel,
        version=str(rollout.version),
        ring=rollout.step.ring,
        at=at,
        by=None if actor == AUTOMATIC.name else actor,
        reason=reason,
        running=sum(n for version, n in versions if version == str(rollout.version)),
        of=of,
        unheard=_unheard(stores, rollout),
        people=_people(stores, rollout),
        back_to=None if rollout.replacement is None else str(rollout.replacement),
        title=_title(stores, rollout, decision.record if decision else {}),
        reach=_reach(stores, rollout, of),
    )


def _said(verb: str, scene: Scene, rollout: Rollout, decision: StoredDecision | None) -> Said:
    record = decision.record if decision else None
    sentence = scene.reason if scene.by is None else ""
    if verb == "pause":
        return announcements.paused(scene, record, sentence)
    if verb == "pull":
        return announcements.pulled(scene, record, sentence)
    if verb == "promote":
        return announcements.promoted(scene, sentence)
    if verb == "take_back":
        return announcements.taken_back(scene, rollout.state.value)
    plainly = {
        "resume": announcements.resumed,
        "complete": announcements.completed,
        "supersede": announcements.superseded,
    }
    return plainly[verb](scene)


def _made_an_end_of(old: Rollout, new: Rollout) -> frozenset[str]:
    """Return the reasons of alerts that do not hold any more."""
    if new.state not in _LIVE:
        return frozenset(Reason) - {Reason.PULLED}
    over: set[str] = set()
    if new.state is RolloutState.PAUSED or new.position != old.position:
        over |= _OF_STEP
    if old.state is RolloutState.PAUSED and new.state is RolloutState.ACTIVE:
        over.add(Reason.PAUSED)
    return frozenset(over)


def _channel(stores: Stores, rollout_id: str, like: Rollout) -> Rollout | None:
    """Return the rollout of this ID if it is on the channel of *like*."""
    try:
        found = stores.rollouts.get(like.app, RolloutId(rollout_id))
    except NotFoundError:
        return None
    return found if found.channel == like.channel else None


def _unheard(stores: Stores, rollout: Rollout) -> int:
    if rollout.state is not RolloutState.PULLED:
        return 0
    found = stores.recounts.of([rollout.id]).get(rollout.id)
    return sum(cell.installs for cell in found.silent) if found else 0


def _people(stores: Stores, rollout: Rollout) -> int:
    if rollout.paused_by is not Actor.AUTOMATIC:
        return 1
    try:
        policy, _ = documents_of(stores, rollout.app, rollout.channel)
    except NotRegisteredError:
        return 1
    return max(1, policy.approvals.resume_after_auto_pause)


def _title(stores: Stores, rollout: Rollout, record: Mapping[str, Any]) -> str:
    top = record.get("top_signatures") or ()
    if not top:
        return ""
    name = str(top[0]["id"])
    return stores.signatures.titles(rollout.app, rollout.channel, [name]).get(name, "")


def _reach(stores: Stores, rollout: Rollout, of: int) -> Reach:
    try:
        policy, _ = documents_of(stores, rollout.app, rollout.channel)
        groups = policy.internal_groups
    except NotRegisteredError:
        groups = ()
    exposure_bp = shape_at(rollout.ladder, rollout.position, groups).exposure_bp
    installs = round(of * exposure_bp / 10_000)
    if rollout.step.exposure_bp is None:
        members = {each.name: each.members for each in stores.access.groups(rollout.app)}
        installs = min(of, sum(members.get(name, 0) for name in groups))
    ahead = rollout.ladder[rollout.position + 1 :]
    soak = timedelta(seconds=rollout.step.soak_seconds)
    return Reach(
        installs=installs,
        of=of,
        after_ring=ahead[0].ring if ahead else None,
        not_before=rollout.position_reached_at + soak if soak else None,
    )
