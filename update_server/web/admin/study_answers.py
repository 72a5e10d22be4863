"""Decisions and what they rest on as JSON objects, as the admin app shows them."""

from __future__ import annotations

from math import isfinite

from rollout.model import Arm
from update_server.evidence.state import Label
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.decisions import Entry, EvidenceView
from update_server.service.studies.strikes import Strike
from update_server.web.admin.answers import JsonObject, time


def decision(value: StoredDecision) -> JsonObject:
    """Return a decision: its record, and what became of it."""
    return {
        **value.record,
        "id": value.id,
        "number": value.number,
        "at": time(value.at),
        "log_size": value.log_size,
        "carried_out_at": time(value.carried_out_at),
        "outcome": value.outcome,
    }


def evidence(value: EvidenceView) -> JsonObject:
    """Return the evidence of one metric. Infinite ends of an interval are null."""
    interval = value.interval
    return {
        "rollout": value.rollout,
        "metric": value.metric,
        "epoch": value.epoch,
        "ring": value.ring,
        "weight": value.weight,
        "advisory": value.advisory,
        "alpha": value.alpha,
        "log_e": value.log_e,
        "needed": value.needed,
        "ratio_estimate": value.ratio,
        "ratio_interval_95": interval and [end if isfinite(end) else None for end in interval],
        "candidate": {"events": value.bad.candidate, "installs": value.of.candidate},
        "control": {"events": value.bad.control, "installs": value.of.control},
        "log": [_entry(entry) for entry in value.entries],
        "replay": value.replay,
    }


def strike(value: Strike) -> JsonObject:
    """Return what was withdrawn, and what becomes of the pause that stood on it."""
    stand = value.stand
    return {
        "candidate": value.struck.candidate,
        "control": value.struck.control,
        "decision": stand and stand.decision,
        "log_e": stand and stand.log_e,
        "needed": stand and stand.needed,
        "contested": stand is not None and stand.is_contested,
        "sentence": stand.sentence or None if stand else None,
    }


def _entry(value: Entry) -> JsonObject:
    counted = value.counted
    shared = {
        "at": time(value.at),
        "platform": counted.platform,
        "n_candidate": counted.n_candidate,
        "n_control": counted.n_control,
    }
    if isinstance(counted, Label):
        arm = Arm.CANDIDATE if counted.candidate else Arm.CONTROL
        return {
            **shared,
            "arm": arm.value,
            "event": counted.event.hex(),
            "network": counted.network.hex() or None,
            "struck": counted.struck,
        }
    return {
        **shared,
        "process": counted.metric,
        "k_candidate": counted.k_candidate,
        "k": counted.k,
        "base_rate": counted.base_rate,
        "centre": counted.centre,
        "scores": [list(score) for score in counted.scores],
    }
