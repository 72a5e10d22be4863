"""``GET /metrics``: counters for Prometheus, read from the database when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from flask import Blueprint, Flask, Response, request
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from rollout.model import RolloutState
from update_server.service.ports import Phase, Role
from update_server.service.report import Report, RolloutView
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.errors import NO_STORE

_LIVE_STATES: Final = (RolloutState.ACTIVE, RolloutState.PAUSED)
_ROLLOUT_LABELS: Final = ("app", "version", "channel")


class _Rollouts(Collector):
    """Live rollouts and their installs: never an install's name, and no finished rollouts."""

    def __init__(self, report: Report, app: str | None) -> None:
        self._report = report
        self._app = app

    def collect(self) -> Iterator[Metric]:
        """Read the database once, and yield what it says."""
        views = self._report.live(self._app)
        yield _states(views)
        yield _exposures(views)
        yield _counts(views, "contacts", "serinus_installs", "Installs that have checked in.")
        yield _counts(views, "silent", "serinus_silent_installs", "Installs that went silent.")
        yield _steps(views)
        if self._app is None:
            yield GaugeMetricFamily(
                "serinus_unpublished_states",
                "Signed states that wait to be published.",
                value=self._report.unpublished(),
            )


def _states(views: Sequence[RolloutView]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_rollout_state",
        "1 for the state that a rollout is in.",
        labels=[*_ROLLOUT_LABELS, "state"],
    )
    for view in views:
        for state in _LIVE_STATES:
            family.add_metric([*_labels(view), state.value], float(view.rollout.state is state))
    return family


def _exposures(views: Sequence[RolloutView]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_rollout_exposure_bp", "Exposure in basis points.", labels=_ROLLOUT_LABELS
    )
    for view in views:
        family.add_metric(_labels(view), view.shape.exposure_bp)
    return family


def _counts(views: Sequence[RolloutView], step: str, name: str, help_text: str) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=["app", "version", "ring", "arm"])
    for view in views:
        it = view.rollout
        for cell in view.cells:
            if cell.step == step:
                family.add_metric(
                    [it.app, str(it.version), cell.ring, cell.arm.value], cell.installs
                )
    return family


def _steps(views: Sequence[RolloutView]) -> Metric:
    family = CounterMetricFamily(
        "serinus_update_steps",
        "Installs that reached a step of their update.",
        labels=["app", "version", "phase"],
    )
    for view in views:
        reached: dict[str, int] = {phase.value: 0 for phase in Phase}
        for cell in view.cells:
            if cell.step in reached:
                reached[cell.step] += cell.installs
        for phase, installs in reached.items():
            family.add_metric([view.rollout.app, str(view.rollout.version), phase], installs)
    return family


def _labels(view: RolloutView) -> list[str]:
    return [view.rollout.app, str(view.rollout.version), view.rollout.channel]


def blueprint(services: AdminServices, guard: Guard, app: Flask) -> Blueprint:
    """Return the endpoint, and count the requests of *app*."""
    bp = Blueprint("metrics", __name__)
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
        registry.register(_Rollouts(services.report, caller.app))
        body = generate_latest(registry) + generate_latest(own)
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": NO_STORE}
        return Response(body, headers=headers)

    return bp
