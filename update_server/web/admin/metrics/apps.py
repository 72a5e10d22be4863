"""Apps: what was counted since they were added, and how fresh what is signed for them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from update_server.service.ports.counters import Counted
from update_server.service.telemetry import counting
from update_server.service.telemetry.exports import AppState
from update_server.web.admin.metrics.rollouts import VERDICTS


@dataclass(frozen=True, slots=True)
class _Counter:
    """How a stored counter is told."""

    stored: str
    name: str
    help_text: str
    labels: tuple[str, ...]


_COUNTERS: Final = (
    _Counter(
        counting.CHECK_INS,
        "serinus_checkins_total",
        "Check-ins, by what was answered and why.",
        ("action", "reason"),
    ),
    _Counter(
        counting.EVENTS,
        "serinus_events_total",
        "Events that were not known before.",
        ("kind",),
    ),
    _Counter(
        counting.REJECTED,
        "serinus_telemetry_rejected_total",
        "Events that were not taken.",
        ("reason",),
    ),
    _Counter(
        counting.QUARANTINED,
        "serinus_telemetry_quarantined_total",
        "Events that were set aside, and count for no evidence.",
        ("reason",),
    ),
    _Counter(
        counting.DISCARDED,
        "serinus_sdk_discarded_total",
        "Reports that SDKs say they dropped by themselves.",
        ("reason",),
    ),
)


def families(apps: Sequence[AppState], counters: Sequence[Counted]) -> Iterator[Metric]:
    """Yield what is told of *apps*."""
    for told in _COUNTERS:
        yield _counted(told, counters)
    yield _decided(apps, counters)
    yield _paused(apps)
    yield _expiries(apps)
    yield _signed(apps)


def _counted(told: _Counter, counters: Sequence[Counted]) -> Metric:
    family = CounterMetricFamily(told.name, told.help_text, labels=["app", *told.labels])
    for one in counters:
        if one.name == told.stored:
            labels = dict(one.labels)
            family.add_metric([one.app, *(labels[label] for label in told.labels)], one.by)
    return family


def _decided(apps: Sequence[AppState], counters: Sequence[Counted]) -> Metric:
    family = CounterMetricFamily(
        "serinus_decisions_total",
        "Decision records that were written.",
        labels=["app", "verdict", "cause"],
    )
    # All verdicts from the start, so that the first of each is seen to be one more.
    counted = Counter({(app.name, verdict, "none"): 0 for app in apps for verdict in VERDICTS})
    for one in counters:
        if one.name == counting.DECISIONS:
            labels = dict(one.labels)
            counted[one.app, labels["verdict"], labels["cause"]] += one.by
    for told, by in counted.items():
        family.add_metric(told, by)
    return family


def _paused(apps: Sequence[AppState]) -> Metric:
    family = CounterMetricFamily(
        "serinus_paused_seconds_total",
        "How long rollouts were paused, by whom.",
        labels=["app", "channel", "by"],
    )
    for app in apps:
        for (channel, by), seconds in app.paused_seconds.items():
            family.add_metric([app.name, channel, by.value], seconds)
    return family


def _expiries(apps: Sequence[AppState]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_document_expires_timestamp_seconds",
        "When a signed policy or rollout document expires.",
        labels=["app", "channel", "kind"],
    )
    for app in apps:
        for (channel, kind), at in app.document_expires_at.items():
            family.add_metric([app.name, channel, kind], at.timestamp())
    return family


def _signed(apps: Sequence[AppState]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_metadata_signed_timestamp_seconds",
        "When an app's metadata was last signed; the server does it every hour.",
        labels=["app"],
    )
    for app in apps:
        if app.signed_at is not None:
            family.add_metric([app.name], app.signed_at.timestamp())
    return family
