"""``…/rollouts/{rollout}/withdraw/{pending}``: what waits for a second person need not wait."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.bodies import path_of, rollout_body
from update_server.web.dashboard.controls import presses
from update_server.web.dashboard.pages import Pages


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return what the button does."""
    bp = Blueprint("asks", __name__)

    @bp.post("/apps/<name:app>/rollouts/<name:rollout>/withdraw/<name:pending>")
    def post_withdraw(app: str, rollout: str, pending: str) -> Response:
        visitor = pages.door.require_post(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)

        def withdraw() -> None:
            services.second_person.withdraw(visitor.caller, app, pending)

        return presses.once(services, visitor.caller, forms.sent(), withdraw, path_of(it))

    return bp
