"""``…/audit``: who did what, newest first; all of it as JSON lines; and its chain of hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Blueprint, Response

from rollout.model import RolloutId
from update_server.service.ports import Role
from update_server.web import wire
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import answered, listed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.errors import NO_STORE

JSON_LINES: Final = "application/jsonl"


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints: the record of one app, and of all."""
    bp = Blueprint("audit", __name__)

    @bp.get("/v1/admin/apps/<name:app>/audit")
    def get_audit(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.get("/v1/admin/audit")
    def get_whole_audit() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/history")
    def get_history(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(history_body(services, app, RolloutId(rollout), part_asked()))

    @bp.get("/v1/admin/audit.jsonl")
    def get_lines() -> Response:
        caller = guard.require(Role.VIEWER)
        return exported(services, caller.app)

    @bp.get("/v1/admin/apps/<name:app>/audit.jsonl")
    def get_lines_of(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return exported(services, app)

    @bp.get("/v1/admin/audit/chain")
    def get_chain() -> Response:
        guard.require(Role.VIEWER)
        return answered(chain_body(services))

    return bp


def chain_body(services: AdminServices) -> JsonObject:
    """Return up to which record the hashes were checked, and how many records there are."""
    chain = services.audit.chain()
    return {
        "checked_to": chain.checked_to,
        "newest": chain.newest,
        "broken_at": chain.broken_at,
    }


def exported(services: AdminServices, app: str | None) -> Response:
    """Return all records of *app*, or of all that happened, a JSON object a line, newest first.

    However many there are, no more than a part of them is in memory.
    """
    if app is not None:
        services.apps.named(app)  # so that an app that is not there is an error, not an empty file
    response = Response(_lines(services, app), content_type=JSON_LINES)
    response.headers["Cache-Control"] = NO_STORE
    response.headers["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return response


def _lines(services: AdminServices, app: str | None) -> Iterator[bytes]:
    for record in services.audit.all(app):
        yield wire.render(answers.audit(record)) + b"\n"


def history_body(services: AdminServices, app: str, rollout: RolloutId, part: Part) -> JsonObject:
    """Return a part of what was done to one rollout, newest first."""
    found, next_seq = services.audit.history(app, rollout, before_seq=part.cursor, limit=part.limit)
    return listed((answers.audit(record) for record in found), next_seq)


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the record of *app*, or of all that happened."""
    found, next_seq = services.audit.page(app, before_seq=part.cursor, limit=part.limit)
    return listed((answers.audit(record) for record in found), next_seq)
