"""The server itself: what waits to be done, whichever app it is for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from update_server.service.telemetry.exports import ServerState


def families(server: ServerState) -> Iterator[Metric]:
    """Yield what is told of the server."""
    yield GaugeMetricFamily(
        "serinus_telemetry_lag_seconds",
        "How long the oldest record that was spooled and not digested waits.",
        value=server.backlog.lag_seconds,
    )
    yield GaugeMetricFamily(
        "serinus_spool_bytes",
        "What was spooled and not digested, minidumps included.",
        value=server.backlog.waiting_bytes,
    )
    yield GaugeMetricFamily(
        "serinus_unpublished_states",
        "Signed states that wait to be published.",
        value=server.unpublished_states,
    )
    yield GaugeMetricFamily(
        "serinus_notify_undelivered",
        "Messages that were tried in vain for five minutes, or given up since one got through.",
        value=server.undelivered_messages,
    )
