"""``…/pending``: verbs that wait for a second person."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.errors import PendingError
from update_server.service.ports import Role
from update_server.web.admin import rollout_answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import Reply, answered, nothing, paged
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("pending", __name__)

    @bp.get("/v1/admin/apps/<name:app>/pending")
    def get_pending(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.get("/v1/admin/pending")
    def get_all_pending() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.delete("/v1/admin/apps/<name:app>/pending/<name:pending>")
    def delete_pending(app: str, pending: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.second_person.withdraw(caller, app, pending)
        return nothing()

    return bp


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of what waits for a second person, in *app* or in all apps."""
    return paged(services.second_person.all(app), rollout_answers.pending, part)


def waits(error: PendingError) -> Response:
    """Answer a verb that waits for others: nothing was done, and it was noted.

    Nor is the answer remembered for its ``Idempotency-Key``: it may be another one soon.
    """
    return Reply(
        body={"pending": rollout_answers.pending(error.pending), "why": error.why}, status=202
    ).response()
