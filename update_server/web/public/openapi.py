"""``GET /v1/openapi.json``: this app described, from the structs that parse and render."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from flask import Blueprint, Response

from update_server.web import wire, wire_events, wire_public
from update_server.web.errors import PROBLEM_TYPE
from update_server.web.public.answers import JSON, json_bytes, to_flask
from update_server.web.public.intake.dump_forms import FILE
from update_server.web.public.intake.replies import RATE_LIMITS


class ProblemOut(msgspec.Struct):
    """RFC 9457; further members depend on the code."""

    type: str
    title: str
    status: int
    detail: str


class EnvelopeOut(msgspec.Struct, omit_defaults=True):
    """The event's ID, where the envelope had one."""

    id: str | None = None


class EventsBody(wire_events.EventsIn):
    """The body of a batch of events, its events spelled out."""

    events: list[wire_events.EventIn]  # type: ignore[assignment]


_STRUCTS: Final = (
    wire_public.CheckInIn,
    wire_public.CheckInOut,
    EventsBody,
    wire_events.EventsOut,
    wire_public.EnrolIn,
    wire_public.EnrolOut,
    wire_public.ForgetIn,
    EnvelopeOut,
    ProblemOut,
)
FORM: Final = "multipart/form-data"
TEXT: Final = "text/plain"
_DUMP_FORM: Final = {
    "type": "object",
    "properties": {
        FILE: {"type": "string", "format": "binary"},
        **{name: {"type": "string"} for name in ("_version", "ver", "prod", "guid", "platform")},
    },
    "required": [FILE],
}
_REF: Final = "#/components/schemas/{name}"
_STRING: Final = {"type": "string"}


def blueprint() -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("openapi", __name__)
    body = wire.render(document())

    @bp.get("/v1/openapi.json")
    def get_openapi() -> Response:
        return to_flask(json_bytes(200, body))

    return bp


def document() -> dict[str, Any]:
    """Return the description, OpenAPI 3.1."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)
    app = _parameter("app")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Serinus, public app", "version": "1"},
        "paths": {
            "/v1/apps/{app}/check-in": {
                "parameters": [app],
                "post": _call("Ask what to run", "CheckInIn", {"200": "CheckInOut"}),
            },
            "/v1/apps/{app}/events": {
                "parameters": [app],
                "post": _call("Tell what happened", "EventsBody", {"202": "EventsOut"}),
            },
            "/v1/apps/{app}/enrol": {
                "parameters": [app],
                "post": _call("Trade a code for a credential", "EnrolIn", {"200": "EnrolOut"}),
            },
            "/v1/apps/{app}/forget": {
                "parameters": [app],
                "post": _call("Have an install forgotten", "ForgetIn", {"204": None}),
            },
            **_intake(),
            "/v1/apps/{app}/tuf/{name}": {
                "parameters": [app, _parameter("name")],
                "get": _file("Fetch TUF metadata", JSON, {"200", "304"}),
            },
            "/v1/apps/{app}/targets/{path}": {
                "parameters": [app, _parameter("path")],
                "get": _file(
                    "Fetch a file of a release", "application/octet-stream", {"200", "206", "304"}
                ),
            },
            "/v1/apps/{app}/rollouts.atom": {
                "parameters": [app],
                "get": _file(
                    "Read what becomes of the rollouts", "application/atom+xml", {"200", "304"}
                ),
            },
            "/healthz": {"get": _state("Whether the process lives", {"200"})},
            "/readyz": {"get": _state("Whether check-ins are answered", {"200", "503"})},
            "/v1/openapi.json": {"get": _state("This document", {"200"})},
        },
        "components": {"schemas": schemas},
    }


def _intake() -> dict[str, Any]:
    """Return the routes of crash SDKs and crash handlers; any path may stand before ``/api/``."""
    project = {**_parameter("project"), "schema": {"type": "integer", "minimum": 0}}
    key = {"name": "sentry_key", "in": "query", "schema": _STRING}
    envelope = _report("Report in a Sentry envelope", {TEXT: {"schema": _STRING}})
    envelope["responses"]["200"]["content"] = _content(JSON, "EnvelopeOut")
    dump = _report("Report with a minidump", {FORM: {"schema": _DUMP_FORM}})
    dump["responses"]["200"]["content"] = {TEXT: {"schema": _STRING}}
    return {
        "/api/{project}/envelope/": {"parameters": [project, key], "post": envelope},
        "/api/{project}/minidump/": {"parameters": [project, key], "post": dump},
        "/api/{project}/minidump/{token}": {
            "parameters": [project, _parameter("token")],
            "post": dump,
        },
    }


def _report(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    limits = {"description": "What to send less of, and for how long", "schema": _STRING}
    taken = {"description": "Durable", "headers": {RATE_LIMITS: limits}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": taken, "default": _problem()},
    }


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _STRING}


def _call(summary: str, takes: str, answers: dict[str, str | None]) -> dict[str, Any]:
    responses: dict[str, Any] = {"default": _problem()}
    for status, name in answers.items():
        responses[status] = {"description": "Done"}
        if name is not None:
            responses[status]["content"] = _content(JSON, name)
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(JSON, takes)},
        "responses": responses,
    }


def _file(summary: str, media_type: str, statuses: set[str]) -> dict[str, Any]:
    responses: dict[str, Any] = {"default": _problem()}
    for status in sorted(statuses):
        responses[status] = {"description": "The bytes", "content": {media_type: {}}}
    return {"summary": summary, "responses": responses}


def _state(summary: str, statuses: set[str]) -> dict[str, Any]:
    content = {JSON: {"schema": {"type": "object"}}}
    responses = {status: {"description": summary, "content": content} for status in statuses}
    return {"summary": summary, "responses": {**responses, "default": _problem()}}


def _content(media_type: str, name: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(name=name)}}}


def _problem() -> dict[str, Any]:
    return {"description": "A problem", "content": _content(PROBLEM_TYPE, "ProblemOut")}
