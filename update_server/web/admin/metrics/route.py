"""The endpoint itself, and the count of requests that this process answers."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Flask, Response, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from update_server.service.ports import Role
from update_server.service.telemetry.exports import Exported
from update_server.web.admin.metrics import apps, rollouts, server
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.errors import NO_STORE


class _Families(Collector):
    """Everything that was read, as families of samples."""

    def __init__(self, exported: Exported) -> None:
        self._exported = exported

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        yield from rollouts.families(self._exported.rollouts)
        yield from apps.families(self._exported.apps, self._exported.counters)
        if self._exported.server is not None:
            yield from server.families(self._exported.server)


def blueprint(services: AdminServices, guard: Guard, app: Flask) -> Blueprint:
    """Return the endpoint, and count the requests of *app*."""
    bp = Blueprint("metrics", __name__)
    # Else there is one more series for each, and nobody asks for them.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    own = CollectorRegistry()
    requests = Counter(
        "serinus_admin_requests_total",
        "Requests that this process of the admin app has answered.",
        ["endpoint", "status"],
        registry=own,
    )

    @app.after_request
    def count(response: Response) -> Response:
        requests.labels(request.endpoint or "none", str(response.status_code)).inc()
        return response

    @bp.get("/metrics")
    def get_metrics() -> Response:
        caller = guard.require(Role.VIEWER)
        registry = CollectorRegistry()
        registry.register(_Families(services.exports.read(caller.app)))
        body = generate_latest(registry) + generate_latest(own)
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": NO_STORE}
        return Response(body, headers=headers)

    return bp
