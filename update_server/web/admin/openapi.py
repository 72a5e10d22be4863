"""``GET /v1/admin/openapi.json``: this app described, from the structs that parse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web import wire_admin, wire_crashes, wire_operators, wire_telemetry
from update_server.web.admin.replies import JSON, Reply
from update_server.web.errors import PROBLEM_TYPE

_REF: Final = "#/components/schemas/{name}"
_NAME: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"}
_DIGEST: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXT: Final = {"type": "string", "maxLength": 128}
_PAGED: Final = ("limit", "cursor")
_UPLOAD: Final = ("Upload-Offset", "Upload-Length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. ``status`` is that of what was done; ``query`` names parameters.

    ``waits``: it may need a second person, and is then accepted and not done.
    """

    path: str
    method: str = "get"
    does: str
    role: Role
    body: type[Any] | None = None
    status: HTTPStatus = HTTPStatus.OK
    query: tuple[str, ...] = ()
    answers: str | None = JSON
    waits: bool = False


def _get(path: str, does: str, *query: str, role: Role = Role.VIEWER) -> Operation:
    return Operation(path=path, does=does, role=role, query=query)


def _post(
    path: str, does: str, body: type[Any], role: Role = Role.OPERATOR, status: int = 201
) -> Operation:
    return Operation(
        path=path, method="post", does=does, role=role, body=body, status=HTTPStatus(status)
    )


def _verb(verb: str, does: str) -> Operation:
    return _post(f"{_R}/{verb}", does, wire_admin.Verb, status=200)


def _waits(operation: Operation) -> Operation:
    return replace(operation, waits=True)


def _delete(path: str, does: str, *query: str, role: Role = Role.OPERATOR) -> Operation:
    return Operation(
        path=path,
        method="delete",
        does=does,
        role=role,
        status=HTTPStatus.NO_CONTENT,
        query=query,
        answers=None,
    )


_A: Final = "/v1/admin/apps/{app}"
_R: Final = f"{_A}/rollouts/{{rollout}}"
_BLOB: Final = f"{_A}/blobs/{{sha256}}"
_OPERATOR: Final = "/v1/admin/operators/{operator}"
_INSTALL: Final = (
    "install_id",
    "channel",
    "platform",
    "version",
    "os_version",
    "locale",
    "country",
    "at",
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    _get("/v1/admin/apps", "List the apps", *_PAGED),
    _post("/v1/admin/apps", "Take an app in", wire_admin.AddApp, Role.ADMIN),
    _get(_A, "Show an app and its online keys"),
    Operation(
        path=_BLOB,
        method="head",
        does="Ask how far an upload is",
        role=Role.PUBLISHER,
        answers=None,
    ),
    Operation(
        path=_BLOB,
        method="get",
        does="Fetch what was uploaded",
        role=Role.PUBLISHER,
        answers="application/octet-stream",
    ),
    Operation(
        path=_BLOB,
        method="put",
        does="Upload bytes",
        role=Role.PUBLISHER,
        status=HTTPStatus.CREATED,
        answers=None,
    ),
    _get(f"{_A}/signing", "Fetch the signed state to build upon", role=Role.PUBLISHER),
    _post(
        f"{_A}/signing",
        "Submit newly signed metadata",
        wire_admin.Submission,
        Role.PUBLISHER,
        200,
    ),
    _get(f"{_A}/releases", "List the releases", *_PAGED),
    _get(f"{_A}/releases/{{version}}", "Show a release", "channel"),
    _get("/v1/admin/rollouts", "List the live rollouts", *_PAGED),
    _get(f"{_A}/rollouts", "List the rollouts, or only how they stand", *_PAGED, "brief"),
    _waits(_post(f"{_A}/rollouts", "Start a rollout", wire_admin.StartRollout)),
    _get(_R, "Show a rollout"),
    _get(f"{_R}/telemetry", "Show how far to trust what its installs tell, by arm"),
    _get(f"{_R}/history", "List what was done to a rollout", *_PAGED),
    _get(f"{_R}/ways-back", "List the versions that a pull may send installs to"),
    _get(f"{_R}/decisions", "List what was decided, and why", *_PAGED),
    _get(f"{_R}/decisions/recomputed", "Recompute a decision from its log", "number"),
    _get(f"{_R}/study", "Show how all metrics stand, the gates, and the terms in force"),
    _get(f"{_R}/series", "Show the evidence over time: at most 200 points"),
    _get(f"{_R}/evidence", "Show the evidence of one metric, with its log", "metric"),
    _post(
        f"{_R}/evidence/strike",
        "Withdraw the reports of an install or a network",
        wire_admin.StrikeEvidence,
        status=200,
    ),
    _waits(_verb("promote", "Open the next step")),
    _verb("pause", "Offer to no further install"),
    _waits(_verb("resume", "End a pause")),
    _verb("pull", "Withdraw for good"),
    _get("/v1/admin/pending", "List what waits for a second person in all apps", *_PAGED),
    _get(f"{_A}/pending", "List what waits for a second person", *_PAGED),
    _delete(f"{_A}/pending/{{pending}}", "Withdraw what waits"),
    _get(f"{_A}/holds", "List the holds in force", *_PAGED),
    _post(f"{_A}/holds", "Place a hold", wire_admin.AddHold),
    _waits(_delete(f"{_A}/holds/{{hold}}", "Lift a hold", "reason")),
    _get(f"{_A}/waivers", "List the waivers in force", *_PAGED),
    _post(f"{_A}/waivers", "Accept a crash for some time", wire_admin.AddWaiver),
    _delete(f"{_A}/waivers/{{waiver}}", "End a waiver", "reason"),
    _get(f"{_A}/settings", "Show the telemetry settings"),
    Operation(
        path=f"{_A}/settings",
        method="patch",
        does="Change the telemetry settings",
        role=Role.OPERATOR,
        body=wire_telemetry.ChangeSettings,
    ),
    _get(f"{_A}/telemetry", "Look at telemetry itself", "hours"),
    _get(f"{_A}/quarantine", "Show what is set aside", "rule", *_PAGED),
    _post(
        f"{_A}/quarantine",
        "Accept or drop what is set aside",
        wire_telemetry.DecideQuarantine,
        status=200,
    ),
    _get(
        f"{_A}/crashes",
        "List the crashes by signature, and where each was seen last",
        "version",
        "channel",
        *_PAGED,
    ),
    _get(f"{_A}/crashes/{{signature}}", "Show a crash: where it was seen, and its stack"),
    _get(f"{_A}/crashes/{{signature}}/hours", "Show when installs first had a crash", "rollout"),
    _post(
        f"{_A}/crashes/{{signature}}/same-as",
        "Say that it is the same bug as another",
        wire_crashes.SameAs,
        status=200,
    ),
    _get(f"{_A}/groups", "List the groups", *_PAGED),
    _post(f"{_A}/groups", "Make a group", wire_admin.AddGroup),
    _delete(f"{_A}/groups/{{group}}", "Remove a group"),
    _get(f"{_A}/enrolments", "List the enrolment codes", *_PAGED),
    _post(f"{_A}/enrolments", "Issue an enrolment code", wire_admin.AddEnrolment),
    _delete(f"{_A}/enrolments/{{code}}", "Revoke a code"),
    _get(f"{_A}/explain", "Say what an install would get, and why", *_INSTALL),
    _get(f"{_A}/versions", "Count what runs", *_PAGED),
    _get(f"{_A}/versions/days", "Show what ran on each day, and how fast it is left", "days"),
    _get(f"{_A}/fleet", "Look at the installs as a whole"),
    _get(f"{_A}/policy", "Show a channel's policy", "channel"),
    _get(
        f"{_A}/policy/past",
        "Show what a channel's policy would make of its last rollouts",
        "channel",
        "limit",
    ),
    _get(f"{_A}/audit", "Read the app's audit log", *_PAGED),
    _get("/v1/admin/audit", "Read the audit log", *_PAGED),
    Operation(
        path=f"{_A}/audit.jsonl",
        does="Read all of the app's audit log, a record a line",
        role=Role.VIEWER,
        answers="application/jsonl",
    ),
    Operation(
        path="/v1/admin/audit.jsonl",
        does="Read all of the audit log, a record a line",
        role=Role.VIEWER,
        answers="application/jsonl",
    ),
    _get("/v1/admin/audit/chain", "Check some more hashes of the audit log"),
    _get("/v1/admin/notifications", "List what people were told, and whether it arrived", *_PAGED),
    _get("/v1/admin/notifications/undelivered", "List whom messages do not reach"),
    _get("/v1/admin/alerts", "List the alerts that are open", *_PAGED),
    _get("/v1/admin/tokens", "List the API tokens", *_PAGED, role=Role.ADMIN),
    _post("/v1/admin/tokens", "Issue an API token", wire_admin.AddToken, Role.ADMIN),
    _delete("/v1/admin/tokens/{token}", "Revoke a token", role=Role.ADMIN),
    _get("/v1/admin/operators", "List who may sign in", *_PAGED, role=Role.ADMIN),
    _post("/v1/admin/operators", "Let somebody sign in", wire_operators.AddOperator, Role.ADMIN),
    Operation(
        path=_OPERATOR,
        method="patch",
        does="Give an operator another role, which ends their sessions",
        role=Role.ADMIN,
        body=wire_operators.ChangeOperator,
    ),
    _post(
        f"{_OPERATOR}/link",
        "Take a password and all sessions away, and make a link to set another one",
        wire_operators.NewLink,
        Role.ADMIN,
    ),
    _delete(_OPERATOR, "Let somebody sign in no more", role=Role.ADMIN),
    Operation(path="/metrics", does="Count things", role=Role.VIEWER, answers="text/plain"),
)


class PendingOut(msgspec.Struct):
    """A verb that waits for so many people in all, and who they are so far."""

    id: str
    app: str
    verb: str
    rollout: str
    version: str
    channel: str
    ring: str
    hold: str | None
    reason: str
    asked_by: str
    people: list[str]
    needs: int
    has: int
    asked_at: str
    expires_at: str


class WaitsOut(msgspec.Struct):
    """What is answered instead of what was not done yet. ``why`` says what it goes beyond."""

    pending: PendingOut
    why: list[str]


class ProblemOut(msgspec.Struct):
    """RFC 9457; further members depend on the code."""

    type: str
    title: str
    status: int
    detail: str


def blueprint() -> Blueprint:
    """Return the endpoint. It needs no token: it tells nothing of this server."""
    bp = Blueprint("openapi", __name__)
    described = document()

    @bp.get("/v1/admin/openapi.json")
    def get_openapi() -> Response:
        return Reply(body=described).response()

    return bp


@cache
def document() -> dict[str, Any]:
    """Return the description, OpenAPI 3.1: always the same one, to be read only."""
    bodies = {each.body for each in OPERATIONS if each.body is not None}
    structs = (*sorted(bodies, key=lambda body: body.__name__), ProblemOut, WaitsOut)
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    paths: dict[str, Any] = {"/v1/admin/openapi.json": {"get": _itself()}}
    for each in OPERATIONS:
        described = paths.setdefault(each.path, {"parameters": _path_parameters(each.path)})
        described[each.method] = _call(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Serinus, admin app", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _call(operation: Operation) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if operation.answers is not None:
        done["content"] = {operation.answers: {"schema": {"type": "object"}}}
    call: dict[str, Any] = {
        "summary": operation.does,
        "description": f"Needs the role {operation.role.value}.",
        "parameters": _parameters(operation),
        "responses": {str(operation.status.value): done, "default": _problem()},
    }
    if operation.waits:
        schema = {"$ref": _REF.format(name=WaitsOut.__name__)}
        call["responses"][str(HTTPStatus.ACCEPTED.value)] = {
            "description": "Waits for somebody else who asks for the same",
            "content": {JSON: {"schema": schema}},
        }
    body = operation.body
    if body is not None:
        content = {JSON: {"schema": {"$ref": _REF.format(name=body.__name__)}}}
        call["requestBody"] = {"required": body is not wire_admin.Verb, "content": content}
    elif operation.method == "put":
        octets = {"type": "string", "format": "binary"}
        call["requestBody"] = {"content": {"application/octet-stream": {"schema": octets}}}
    return call


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = [_parameter(name, "query", _TEXT) for name in operation.query]
    if operation.method == "put":
        parameters += [_parameter(name, "header", {"type": "integer"}) for name in _UPLOAD]
    if operation.method in {"patch", "post"}:
        parameters.append(_parameter("Idempotency-Key", "header", _TEXT))
    if operation.body is wire_admin.Verb:
        parameters.append(_parameter("If-Match", "header", _TEXT))
    return parameters


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {**_parameter(name, "path", _DIGEST if name == "sha256" else _NAME), "required": True}
        for name in names
    ]


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema}


def _itself() -> dict[str, Any]:
    done = {"description": "Done", "content": {JSON: {"schema": {"type": "object"}}}}
    return {"summary": "This document", "security": [], "responses": {"200": done}}


def _problem() -> dict[str, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="ProblemOut")}}}
    return {"description": "A problem", "content": content}
