"""``/v1/admin/operators``: people who sign in. An admin of one app sees and makes only its own."""

from __future__ import annotations

from flask import Blueprint, Response, request
from msgspec import structs

from update_server.service.ports import NotFoundError, Role
from update_server.service.ports.operators import Operator
from update_server.web import wire, wire_operators
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import Reply, answered, nothing, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.errors import ForbiddenError
from update_server.web.wire import render_time
from update_server.web.wire_admin import app_name


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("operators", __name__)

    @bp.get("/v1/admin/operators")
    def get_operators() -> Response:
        caller = guard.require(Role.ADMIN)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.post("/v1/admin/operators")
    def post_operator() -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        body = wire_operators.parse(data, wire_operators.AddOperator)
        app = None if body.app is None else app_name(body.app)
        if caller.app is not None and app != caller.app:
            raise ForbiddenError(Role.ADMIN.value)

        def add() -> Reply:
            operator, link = services.operators.add(
                caller,
                body.name,
                body.role,
                app,
                identity=body.identity,
                first_password=body.password,
            )
            return _with_link(services, operator, link)

        # The digest of a request is remembered, and a quick hash of a password must not be.
        told = wire.render(structs.asdict(structs.replace(body, password=None)))
        return replayed(services.replays, caller, told, add)

    @bp.patch("/v1/admin/operators/<name:operator>")
    def patch_operator(operator: str) -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        role = wire_operators.parse(data, wire_operators.ChangeOperator).role

        def change() -> Reply:
            return Reply(body=render(services.operators.change(caller, operator, role)))

        return replayed(services.replays, caller, data, change)

    @bp.post("/v1/admin/operators/<name:operator>/link")
    def post_link(operator: str) -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        wire_operators.parse(data or b"{}", wire_operators.NewLink)

        def reset() -> Reply:
            return _with_link(services, *services.operators.reset(caller, operator))

        return replayed(services.replays, caller, data, reset)

    @bp.delete("/v1/admin/operators/<name:operator>")
    def delete_operator(operator: str) -> Response:
        caller = guard.require(Role.ADMIN)
        services.operators.remove(caller, operator)
        return nothing()

    return bp


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the operators, of one app or of all."""
    return paged(services.operators.all(app), render, part)


def body(services: AdminServices, app: str | None, operator_id: str) -> JsonObject:
    """Return one operator, of one app or of any. Raises NotFoundError."""
    for each in services.operators.all(app):
        if each.id == operator_id:
            return render(each)
    raise NotFoundError("operator", operator_id)


def link_to(services: AdminServices, secret: str) -> str | None:
    """Return where a password is set; only the path where nobody said how the pages are reached."""
    return f"{services.dashboard.url}/set-password/{secret}" if secret else None


def render(value: Operator) -> JsonObject:
    """Return an operator. Of their password it is told only whether there is one."""
    return {
        "id": value.id,
        "name": value.name,
        "role": value.role.value,
        "app": value.app,
        "identity": value.identity,
        "has_password": value.password is not None,
        "must_change_password": value.must_change,
        "created_at": render_time(value.created_at),
    }


def _with_link(services: AdminServices, operator: Operator, secret: str) -> Reply:
    link = link_to(services, secret)
    return Reply(body={**render(operator), "link": link}, status=201, secrets=("link",))
