"""``…/rollouts/{rollout}/decisions`` and ``…/evidence``: what was decided, and what it rests on.

``…/evidence/strike`` withdraws reports.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from rollout.model import RolloutId
from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.queries import cursor_asked, limit_asked, metric_asked
from update_server.web.admin.replies import Reply, listing, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire_fields import install_id_of


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("decisions", __name__)

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/decisions")
    def get_decisions(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        found, next_number = services.decisions.page(
            app, RolloutId(rollout), before=cursor_asked(), limit=limit_asked()
        )
        return listing((answers.decision(each) for each in found), next_number)

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/evidence")
    def get_evidence(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        view = services.decisions.evidence(app, RolloutId(rollout), metric_asked())
        return Reply(body=answers.evidence(view)).response()

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
            return Reply(body=answers.strike(done))

        return replayed(services.replays, caller, data, strike)

    return bp
