"""The names of the counters, and what is added to them when something happens.

Not here: storing them. Whoever writes what happened adds to them in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rollout.model import Rollout, RolloutState
from update_server.evidence.settings import Metric
from update_server.evidence.weighing import SIGNATURE_PREFIX
from update_server.service.ports import Contact, Event
from update_server.service.ports.counters import Counted
from update_server.service.ports.studies import StoredDecision
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND

CHECK_INS: Final = "checkins"
"""Check-ins that were answered, by ``action`` and ``reason``."""

EVENTS: Final = "events"
"""Events that were not known before, by ``kind``."""

REJECTED: Final = "telemetry_rejected"
"""Events that intake did not take, by ``reason``."""

QUARANTINED: Final = "telemetry_quarantined"
"""Events that were set aside, by ``reason``."""

DISCARDS_KIND: Final = "discards"
"""The kind of events whose body's ``counts`` say what an SDK dropped, and why."""

DISCARDED: Final = "sdk_discarded"
"""Reports that SDKs say they dropped by themselves, by ``reason``."""

DECISIONS: Final = "decisions"
"""Decision records that were written, by ``verdict`` and ``cause``."""

PAUSED_SECONDS: Final = "paused_seconds"
"""How long rollouts were paused, up to when that ended, by ``channel`` and ``by``."""


def counts_of(records: Iterable[Contact | Event]) -> Sequence[Counted]:
    """Return what *records*, none of which was counted before, add to the counters.

    Events that are set aside are events, too. Notes of intake are none.
    """
    sums: Counter[tuple[str, str, tuple[tuple[str, str], ...]]] = Counter()
    for record in records:
        if isinstance(record, Contact):
            labels = ("action", str(record.action)), ("reason", str(record.reason))
            sums[record.app, CHECK_INS, labels] += 1
        elif record.kind == REJECTED_KIND:
            for reason, events in record.body["counts"].items():
                sums[record.app, REJECTED, (("reason", reason),)] += events
        elif record.kind != CLOCK_KIND:
            sums[record.app, EVENTS, (("kind", record.kind),)] += 1
            if record.quarantine:
                sums[record.app, QUARANTINED, (("reason", str(record.quarantine)),)] += 1
            for reason, _, reports in _discards(record):
                sums[record.app, DISCARDED, (("reason", reason),)] += reports
    return [
        Counted(app=app, name=name, labels=labels, by=by)
        for (app, name, labels), by in sums.items()
    ]


def _discards(event: Event) -> Iterable[tuple[str, str, int]]:
    """Return by reason and category what an SDK says that it dropped."""
    return event.body["counts"] if event.kind == DISCARDS_KIND else ()


def counts_of_decision(decision: StoredDecision) -> Sequence[Counted]:
    """Return what a decision adds. Its cause is a metric, a guard, or why there is no verdict."""
    record = decision.record
    cause = record["cause_metric"] or record["no_verdict"] or record["suspended_by"] or "none"
    labels = (("cause", without_signature(cause)), ("verdict", decision.verdict or "none"))
    return [Counted(app=decision.app, name=DECISIONS, labels=labels)]


def counts_of_pause(old: Rollout, new: Rollout) -> Sequence[Counted]:
    """Return what a change of a rollout adds: how long it had been paused, if it was."""
    if old.state is not RolloutState.PAUSED or old.paused_by is None:
        return []
    labels = (("by", old.paused_by.value), ("channel", old.channel))
    by = seconds_paused(old, new.changed_at)
    return [Counted(app=old.app, name=PAUSED_SECONDS, labels=labels, by=by)]


def seconds_paused(rollout: Rollout, until: datetime) -> int:
    """Return for how many whole seconds a rollout has been paused since its last change."""
    if rollout.state is not RolloutState.PAUSED:
        return 0
    return max(0, int((until - rollout.changed_at).total_seconds()))


def without_signature(metric: str) -> str:
    """Return the name of a metric, one for all crash signatures: anybody can invent another."""
    return Metric.SIGNATURE.value if metric.startswith(SIGNATURE_PREFIX) else str(metric)
