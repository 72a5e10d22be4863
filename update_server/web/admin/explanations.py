"""What an install would get and why, as JSON objects. The install's ID is in none of them."""

from __future__ import annotations

from datetime import UTC, datetime

from rollout.model import Assignment
from update_server.service.ports.studies import LastContact, Progress
from update_server.service.rollouts.explain import Explained, Explanation, Question
from update_server.service.rollouts.witness import WORDS, Counted, Witness
from update_server.web.admin.answers import JsonObject
from update_server.web.wire import render_time


def explanation(app: str, question: Question, value: Explanation) -> JsonObject:
    """Return what an install would get, why, and whether it is evidence."""
    exposure = value.exposure
    return {
        "app": app,
        "channel": question.channel,
        "platform": question.platform,
        "version": None if question.version is None else str(question.version),
        "at": render_time(value.at),
        "assignment": _assignment(value.assignment),
        "bucket": value.bucket,
        "groups": list(value.groups),
        "rollout": exposure.rollout,
        "ring": exposure.ring,
        "arm": None if exposure.arm is None else exposure.arm.value,
        "steps": [_step(step) for step in value.steps],
        **_witness(value.witness),
    }


def _assignment(value: Assignment) -> JsonObject:
    return {
        "action": value.action.value,
        "version": None if value.version is None else str(value.version),
        "reason": value.reason.value,
        "ring": value.ring,
        "rollout": value.rollout,
        "bucket": value.bucket,
        "detail": None if value.detail is None else value.detail.value,
        "hold": None
        if value.hold is None
        else {"title": value.hold.title, "link": value.hold.link},
    }


def _step(step: Explained) -> JsonObject:
    return {
        "rule": step.rule,
        "entry": step.entry,
        "outcome": step.outcome,
        "detail": step.detail,
        "passes": step.passes,
        "document": step.source
        and {
            "kind": step.source.kind,
            "version": step.source.version,
            "expires_at": render_time(step.source.expires_at),
        },
        "checks": [
            {"rule": each.rule, "passes": each.passes, "detail": each.detail}
            for each in step.checks
        ],
    }


def _witness(value: Witness) -> JsonObject:
    history = value.history
    return {
        "known": history
        and {
            "first_seen_at": _seconds(history.first_at),
            "check_ins": history.check_ins,
            "last_crash_at": _seconds(history.crashes[-1]) if history.crashes else None,
        },
        "last_report": value.last and _contact(value.last),
        "progress": value.progress and _progress(value.progress),
        "evidence": _counted(value.counted),
        "set_aside": [{"rule": rule, "events": events} for rule, events in value.set_aside],
    }


def _contact(value: LastContact) -> JsonObject:
    return {
        "at": render_time(value.at),
        "channel": value.channel,
        "platform": value.platform,
        "version": value.version or None,
        "action": value.action,
        "reason": value.reason,
        "offered": value.offered,
        "self_selected": value.self_selected,
        "telemetry": value.telemetry,
    }


def _progress(value: Progress) -> JsonObject:
    return {
        "ring": value.ring,
        "arm": None if value.arm is None else value.arm.value,
        "steps": list(value.steps),
        "last_at": render_time(value.last_at),
    }


def _counted(value: Counted) -> JsonObject:
    why = value.why_not
    return {
        "rollout": value.rollout,
        "counts": why is None,
        "why_not": why and why.value,
        "detail": "it is compared with the installs of the other arm"
        if why is None
        else WORDS[why],
        "arm": value.arm or None,
        "entered_at": None if value.entered_at is None else render_time(value.entered_at),
    }


def _seconds(at: float) -> str:
    return render_time(datetime.fromtimestamp(at, UTC))
