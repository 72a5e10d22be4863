"""``…/quarantine``: what is set aside, and what becomes of it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.evidence.facts import Rule
from update_server.service.ports import Role
from update_server.service.ports.quarantine import Kept, RuleCount
from update_server.service.telemetry.quarantine import QuarantinePage
from update_server.web import wire, wire_telemetry
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, optional_one_of, part_asked
from update_server.web.admin.replies import Reply, answered, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("quarantine", __name__)

    @bp.get("/v1/admin/apps/<name:app>/quarantine")
    def get_quarantine(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        named = optional_one_of("rule", tuple(Rule))
        rule = None if named is None else Rule(named)
        return answered(body(services, app, part_asked(), rule))

    @bp.post("/v1/admin/apps/<name:app>/quarantine")
    def post_quarantine(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.apps.named(app)  # what is not there is told before what is wrong with the body
        data = wire.read_body(request)
        asked = wire_telemetry.parse_decision(data)

        def act() -> Reply:
            reports = services.quarantine.decide(
                caller, app, asked.action, asked.rule, version=asked.version, reason=asked.reason
            )
            return Reply(body={"action": asked.action, "rule": asked.rule, "reports": reports})

        return replayed(services.replays, caller, data, act)

    return bp


def body(services: AdminServices, app: str, part: Part, rule: Rule | None = None) -> JsonObject:
    """Return what is set aside, by *rule* or by all: counts, and a part of the reports."""
    page = services.quarantine.page(app, rule=rule, before_id=part.cursor, limit=part.limit)
    return _page(page)


def counted(value: RuleCount) -> JsonObject:
    """Return how much one rule set aside in one arm."""
    return {
        "rule": value.rule,
        "arm": value.arm or None,
        "reports": value.events,
        "kept": value.kept,
        "installs": value.installs,
    }


def _page(value: QuarantinePage) -> JsonObject:
    return {
        "counts": [counted(each) for each in value.counts],
        "items": [_kept(each) for each in value.entries],
        "next_cursor": None if value.next_id is None else str(value.next_id),
    }


def _kept(value: Kept) -> JsonObject:
    event = value.event
    return {
        "id": value.id,
        "rule": value.rule,
        "arm": value.arm or None,
        "kind": event.kind,
        "version": event.version or None,
        "channel": event.channel,
        "platform": event.platform,
        "source": event.source,
        "at": render_time(event.at),
        "received_at": render_time(event.received_at),
    }
