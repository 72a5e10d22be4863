"""``…/rollouts``: how they stand, and the verbs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, request

from rollout.model import Rollout, RolloutId
from update_server.service.access.caller import Caller
from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import rollout_answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, optional_one_of, part_asked
from update_server.web.admin.replies import Reply, answered, cut, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard

_ETAG: Final = re.compile(r'"([0-9]{1,9})"')
_NO_REVISION: Final = -1  # no rollout ever has it, so that an odd If-Match never matches


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("rollouts", __name__)

    def shown(rollout: Rollout, status: int = 200) -> Reply:
        view = services.report.rollout(rollout.app, rollout.id)
        return Reply(body=rollout_answers.rollout(view), status=status, etag=view.rollout.revision)

    def in_full(app: str, rollout: RolloutId) -> Reply:
        told = body(services, app, rollout)
        return Reply(body=told, etag=told["revision"])

    def verb(app: str, act: Callable[[Caller, wire_admin.Verb, int | None], Reply]) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse_verb(data)
        expected = _revision_expected()
        return replayed(services.replays, caller, data, lambda: act(caller, body, expected))

    @bp.get("/v1/admin/rollouts")
    def get_live_rollouts() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(live_body(services, caller.app, part_asked()))

    @bp.get("/v1/admin/apps/<name:app>/rollouts")
    def get_rollouts(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        asked = optional_one_of("brief", ("true",))
        told = page_body if asked is None else brief_body
        return answered(told(services, app, part_asked()))

    @bp.post("/v1/admin/apps/<name:app>/rollouts")
    def post_rollout(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.StartRollout)
        channel = wire_admin.channel_name(body.channel)
        version = wire_admin.version_of(body.version)
        ladder = None if body.ladder is None else wire_admin.ladder_of(body.ladder)
        terms = None if body.terms is None else wire_admin.terms_of(body.terms)

        def start() -> Reply:
            started = services.control.start(
                caller,
                app,
                channel,
                version,
                ladder=ladder,
                ring=body.start_ring,
                reason=body.reason,
                terms=terms,
                first_for=wire_admin.optional_version(body.first_for, "first_for"),
            )
            return shown(started, 201)

        return replayed(services.replays, caller, data, start)

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>")
    def get_rollout(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return in_full(app, RolloutId(rollout)).response()

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/ways-back")
    def get_ways_back(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(ways_back_body(services, app, RolloutId(rollout)))

    @bp.post("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/promote")
    def post_promote(app: str, rollout: str) -> Response:
        def promote(caller: Caller, body: wire_admin.Verb, expected: int | None) -> Reply:
            promoted = services.control.promote(
                caller,
                app,
                RolloutId(rollout),
                ring=body.ring,
                reason=body.reason,
                override=body.override,
                expected_revision=expected,
            )
            return shown(promoted)

        return verb(app, promote)

    @bp.post("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/pause")
    def post_pause(app: str, rollout: str) -> Response:
        # Whatever revision was seen: nobody who wants to stop a release should have to look.
        def pause(caller: Caller, body: wire_admin.Verb, _: int | None) -> Reply:
            paused = services.control.pause(caller, app, RolloutId(rollout), reason=body.reason)
            return shown(paused)

        return verb(app, pause)

    @bp.post("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/resume")
    def post_resume(app: str, rollout: str) -> Response:
        def resume(caller: Caller, body: wire_admin.Verb, expected: int | None) -> Reply:
            resumed = services.control.resume(
                caller,
                app,
                RolloutId(rollout),
                reason=body.reason,
                expected_revision=expected,
                waived=body.waive,
                waived_for=timedelta(seconds=body.waive_seconds),
            )
            return shown(resumed)

        return verb(app, resume)

    @bp.post("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/pull")
    def post_pull(app: str, rollout: str) -> Response:
        def pull(caller: Caller, body: wire_admin.Verb, expected: int | None) -> Reply:
            pulled = services.control.pull(
                caller,
                app,
                RolloutId(rollout),
                reason=body.reason,
                replacement=wire_admin.optional_version(body.replacement, "replacement"),
                expected_revision=expected,
            )
            return in_full(app, pulled.id)

        return verb(app, pull)

    return bp


def live_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the rollouts that are live, of *app* or of all apps."""
    return paged(services.report.live(app), rollout_answers.rollout, part)


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the rollouts of *app*, newest first."""
    start = part.cursor or 0
    found = services.report.rollouts(app, start=start, limit=part.limit + 1)
    return cut(found, rollout_answers.rollout, part)


def brief_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the rollouts of *app*, newest first: how they stand, and nothing counted."""
    start = part.cursor or 0
    found = services.report.listed(app, start=start, limit=part.limit + 1)
    return cut(found, rollout_answers.brief_rollout, part)


def body(services: AdminServices, app: str, rollout: RolloutId) -> JsonObject:
    """Return one rollout, what its installs came to, and where a pull sends them."""
    return rollout_answers.rollout_in_full(services.report.detail(app, rollout))


def ways_back_body(services: AdminServices, app: str, rollout: RolloutId) -> JsonObject:
    """Return all versions that a pull may send installs to, newest first."""
    return {"items": [str(each) for each in services.report.ways_back(app, rollout)]}


def _revision_expected() -> int | None:
    """Return the revision in ``If-Match``; None when there is none, or any will do."""
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return None
    match = _ETAG.fullmatch(header)
    return int(match[1]) if match else _NO_REVISION
