"""``…/rollouts/{rollout}/decisions`` and ``…/evidence``: what was decided, and what it rests on.

``…/evidence/strike`` withdraws reports.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from rollout.model import RolloutId
from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import study_answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, metric_asked, part_asked
from update_server.web.admin.replies import Reply, answered, listed, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire_fields import install_id_of


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("decisions", __name__)

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/decisions")
    def get_decisions(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, RolloutId(rollout), part_asked()))

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/evidence")
    def get_evidence(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(evidence_body(services, app, RolloutId(rollout), metric_asked()))

    @bp.post("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/evidence/strike")
    def post_strike(app: str, rollout: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.StrikeEvidence)

        def strike() -> Reply:
            done = services.strikes.strike(
                caller,
                app,
                RolloutId(rollout),
                install=None if body.install_id is None else install_id_of(body.install_id),
                network=body.network,
                reason=body.reason,
            )
            return Reply(body=study_answers.strike(done))

        return replayed(services.replays, caller, data, strike)

    return bp


def page_body(services: AdminServices, app: str, rollout: RolloutId, part: Part) -> JsonObject:
    """Return a part of what was decided about a rollout, newest first."""
    found, next_number = services.decisions.page(app, rollout, before=part.cursor, limit=part.limit)
    return listed((study_answers.decision(each) for each in found), next_number)


def evidence_body(services: AdminServices, app: str, rollout: RolloutId, metric: str) -> JsonObject:
    """Return the evidence of one metric with its log."""
    return study_answers.evidence(services.decisions.evidence(app, rollout, metric))
