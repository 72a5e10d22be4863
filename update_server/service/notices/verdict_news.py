"""Telling people of what the judge finds where it changes nothing about the rollout.

A pause, pull or promotion that is carried out is told when the rollout changes
(``service.notices.news``).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from update_server.evidence.judge import FEWEST_WITH_SIGNATURE
from update_server.evidence.settings import Settings
from update_server.evidence.state import State
from update_server.evidence.verdicts import NoVerdict, Verdict
from update_server.evidence.weighing import (
    SIGNATURE_PREFIX,
    counts,
    log_e_of,
    platforms_of,
    total,
    weighted_metrics,
)
from update_server.service.access.caller import AUTOMATIC
from update_server.service.notices import announcements
from update_server.service.notices.alerting import Reason, end, name_of, open_about, page
from update_server.service.notices.message_text import Said
from update_server.service.notices.news import message_of, scene_of
from update_server.service.notices.scene import NewSignature
from update_server.service.ports import NotFoundError, Stores
from update_server.service.ports.outbox import Level, Message
from update_server.service.ports.studies import StoredDecision, StoredStudy

_ADVISORY: Final = "advisory: "
_STOPS: Final = frozenset({Verdict.PAUSE, Verdict.PULL})
_LOOKED_AT: Final = 100
_TYPES: Final = {
    Reason.SUSPENDED: "serinus.verdict.suspended",
    Reason.SILENT: "serinus.alert.telemetry_silent",
    Reason.ADVISED: "serinus.alert.advised",
    Reason.NO_VERDICT: "serinus.alert.no_verdict",
}


def tell_decision(stores: Stores, decision: StoredDecision) -> None:
    """Tell of a decision that people have to do something about; end the alerts it makes untrue."""
    _end_what_is_over(stores, decision)
    if decision.verdict == Verdict.SUSPEND:
        _page(stores, decision, Reason.SUSPENDED)
    elif decision.record["no_verdict"] == NoVerdict.INTAKE_GAP:
        _page(stores, decision, Reason.SILENT)
    elif decision.verdict in _STOPS and decision.outcome.startswith(_ADVISORY):
        tell_advice(stores, decision, decision.outcome.removeprefix(_ADVISORY))


def tell_advice(stores: Stores, decision: StoredDecision, why: str) -> None:
    """Tell that a pause or a pull was found, and *why* it was not made."""
    _page(stores, decision, Reason.ADVISED, why=why)


def tell_unjudged(stores: Stores, decision: StoredDecision, since: datetime) -> None:
    """Tell that there has been no verdict *since* long ago."""
    seconds = (decision.at - since).total_seconds()
    _page(stores, decision, Reason.NO_VERDICT, seconds=seconds)


def tell_new_signatures(
    stores: Stores, study: StoredStudy, found: Sequence[NewSignature], at: datetime
) -> None:
    """Tell of crashes that were seen for the first time, each once for a rollout."""
    for each in found:
        name = name_of("msg", study.rollout, "new_signature", each.id)
        try:
            stores.outbox.get(name)
        except NotFoundError:
            rollout = stores.rollouts.get(study.app, study.rollout)
            titles = stores.signatures.titles(study.app, study.channel, [each.id])
            scene = scene_of(stores, rollout, at, AUTOMATIC.name)
            scene = replace(scene, title=titles.get(each.id, ""))
            said = announcements.new_signature(scene, each)
            message = message_of(rollout, "new_signature", AUTOMATIC.name, said)
            stores.outbox.add(replace(message, id=name, at=at))


def new_signatures(state: State, settings: Settings, told: Container[str]) -> list[NewSignature]:
    """Return the crashes, but for those that were *told*, that enough installs had to be news."""
    epoch = state.epoch
    found = []
    for metric in weighted_metrics(state, settings):
        name = metric.metric.removeprefix(SIGNATURE_PREFIX)
        if name == metric.metric or name in told or name in epoch.waived:
            continue
        platforms = platforms_of(epoch, metric, state.held)
        bad, _ = counts(epoch, metric.metric, platforms)
        if bad.total < FEWEST_WITH_SIGNATURE or not bad.candidate:
            continue
        found.append(
            NewSignature(
                id=name,
                candidate=bad.candidate,
                candidates=epoch.most.candidate,
                control=bad.control,
                controls=epoch.most.control,
                log_e=log_e_of(metric.kind, total(epoch, metric, platforms)),
                needed=metric.needed(settings.alpha),
            )
        )
    return found


def unjudged_since(stores: Stores, study: StoredStudy, now: float) -> float:
    """Return since when, by the judge's clock, nothing that was stored says a verdict."""
    since = now
    for each in stores.decisions.page(study.app, rollout=study.rollout, limit=_LOOKED_AT):
        if each.record["verdict"] is not None:
            break
        since = min(since, float(each.record["decided_at"]))
    return since


def is_long_unjudged(state: State, settings: Settings, since: float, now: float) -> bool:
    """Whether the present step has had no verdict for so many of its soak times.

    Where it need not soak, its timeout counts. At a ladder's last step nothing waits for a verdict.
    """
    stage = state.stage
    if stage.next_ring is None:
        return False
    seconds = settings.no_verdict_alert_soaks * stage.soak_seconds or settings.timeout_seconds
    return now - max(since, stage.opened_at) >= seconds


def _end_what_is_over(stores: Stores, decision: StoredDecision) -> None:
    no_verdict = decision.record["no_verdict"]
    holds = {
        Reason.SUSPENDED: decision.verdict == Verdict.SUSPEND,
        Reason.SILENT: no_verdict == NoVerdict.INTAKE_GAP,
        Reason.NO_VERDICT: no_verdict is not None,
        Reason.ADVISED: decision.verdict in _STOPS,
    }
    over = {reason.value for reason, still in holds.items() if not still}
    for alert in open_about(stores, decision.app, decision.rollout):
        if alert.reason in over:
            end(stores, alert, decision.at)


def _page(
    stores: Stores, decision: StoredDecision, reason: Reason, *, why: str = "", seconds: float = 0
) -> None:
    if any(each.reason == reason for each in open_about(stores, decision.app, decision.rollout)):
        return
    rollout, record = stores.rollouts.get(decision.app, decision.rollout), decision.record
    scene = scene_of(stores, rollout, decision.at, AUTOMATIC.name, decision=decision)

    def say() -> Said:
        match reason:
            case Reason.SUSPENDED:
                return announcements.suspended(scene, record)
            case Reason.SILENT:
                return announcements.silent(scene, record)
            case Reason.ADVISED:
                return announcements.advised(scene, record, why)
            case _:
                return announcements.no_verdict(scene, record, seconds)

    sentence = str(record["sentence"])
    said = announcements.in_words(say, scene, reason.replace("_", " "), sentence)
    message = Message(
        id=name_of("msg", decision.id, reason),
        at=decision.at,
        type=_TYPES[reason],
        level=Level.PAGES,
        subject=said.subject,
        text=said.text,
        sentence=said.sentence,
        app=rollout.app,
        channel=rollout.channel,
        rollout=rollout.id,
        version=str(rollout.version),
        ring=rollout.step.ring,
        state=rollout.state.value,
        actor=AUTOMATIC.name,
        decision=record,
    )
    page(stores, message, reason)
