"""``…/crashes``: what crashed, on how many installs, and what is the same bug."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from flask import Blueprint, Response, request
from packaging.version import Version

from update_server.service.crashes.groups import CrashView, GroupView
from update_server.service.crashes.spread import InRollout, OnVersion
from update_server.service.ports import Role
from update_server.service.ports.crashes import UNPUBLISHED, CrashCount, CrashedInstalls, Sample
from update_server.service.telemetry.levels import Reporting
from update_server.web import wire, wire_admin, wire_crashes
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import Reply, answered, cut, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.admin.telemetry import arm_levels
from update_server.web.auth import Guard
from update_server.web.wire import render_time

_PATH: Final = "/v1/admin/apps/<name:app>/crashes"


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("crashes", __name__)

    @bp.get(_PATH)
    def get_crashes(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        part = part_asked()
        version = wire_admin.optional_version(request.args.get("version"), "version")
        text = request.args.get("channel")
        channel = None if text is None else wire_admin.channel_name(text)
        return answered(list_body(services, app, part, version=version, channel=channel))

    @bp.get(f"{_PATH}/<name:signature>")
    def get_crash(app: str, signature: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app, signature))

    @bp.post(f"{_PATH}/<name:signature>/same-as")
    def post_same_as(app: str, signature: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        asked = wire_crashes.parse_same_as(data)

        def note() -> Reply:
            services.crashes.same_as(caller, app, signature, asked.signature, reason=asked.reason)
            found = services.crashes.get(app, signature)
            # No sample: this answer is kept for a week, and who wishes it is forgotten before.
            return Reply(body={**_summary(found.group), "same": list(found.same)})

        return replayed(services.replays, caller, data, note)

    return bp


def list_body(
    services: AdminServices,
    app: str,
    part: Part,
    *,
    version: Version | None = None,
    channel: str | None = None,
) -> JsonObject:
    """Return a part of the crashes of *app*, of one version or channel or of all."""
    view = services.crashes.all(
        app, version=version, channel=channel, start=part.cursor or 0, limit=part.limit + 1
    )
    return {
        **cut(view.groups, _summary, part),
        "crashed_installs": [_crashed(one) for one in view.crashed],
        "reporting": [_reporting(one) for one in view.reporting],
    }


def body(services: AdminServices, app: str, signature: str) -> JsonObject:
    """Return all that is known of one crash."""
    return _crash(services.crashes.get(app, signature))


def _summary(value: GroupView) -> JsonObject:
    return _summed(value, [_count(one) for one in value.counts])


def _summed(value: GroupView, counts: list[JsonObject]) -> JsonObject:
    about, total = value.about, value.total
    return {
        "signature": value.signature,
        "title": value.title,
        "kind": about.kind if about else None,
        "parts": list(about.parts) if about else [],
        "installs": value.installs,
        "reports": total.reports if total else 0,
        "errors": total.errors if total else 0,
        "first_at": _time(total.first_at if total else None),
        "last_at": _time(total.last_at if total else None),
        "counts": counts,
        "more_counts": total.counts - len(value.counts) if total else 0,
    }


def _crash(value: CrashView) -> JsonObject:
    about = value.group.about
    counts = [
        {
            **_count(one),
            "platform": one.platform,
            "os": one.os,
            "running": None
            if one.version == UNPUBLISHED
            else value.spread.running.get((one.version, one.platform), 0),
        }
        for one in value.group.counts
    ]
    return {
        **_summed(value.group, counts),
        "key": about.key if about else None,
        "family": about.family if about else None,
        "same": list(value.same),
        "stack": [dict(frame) for frame in value.frames],
        "new_on": [
            {"channel": channel, "version": version, "new": is_new}
            for (channel, version), is_new in value.news.items()
        ],
        "rollouts": [_in_rollout(one) for one in value.spread.rollouts],
        "versions": [_on_version(one) for one in value.spread.versions],
        "first_seen_in": _first_seen_in(value.group.counts),
        "waivers": [
            {
                "id": each.id,
                "channel": each.channel,
                "version": str(each.version),
                "signature": each.signature,
                "expires_at": render_time(each.expires_at),
                "reason": each.reason,
            }
            for each in value.waivers
        ],
        "samples": [_sample(one) for one in value.samples],
    }


def _reporting(one: Reporting) -> JsonObject:
    return {
        "rollout": one.rollout.id,
        "channel": one.rollout.channel,
        "version": str(one.rollout.version),
        "counted_at": None if one.counted_at is None else render_time(one.counted_at),
        "arms": [arm_levels(each) for each in one.arms],
    }


def _count(one: CrashCount) -> JsonObject:
    return {
        "version": one.version,
        "arm": one.arm,
        "handled": one.handled,
        "installs": one.installs,
        "reports": one.reports,
        "first_at": render_time(one.first_at),
        "last_at": render_time(one.last_at),
    }


def _in_rollout(one: InRollout) -> JsonObject:
    return {
        "rollout": one.rollout.id,
        "channel": one.rollout.channel,
        "version": str(one.rollout.version),
        "state": one.rollout.state.value,
        **{arm.arm.value: {"installs": arm.installs, "of": arm.of} for arm in one.arms},
    }


def _on_version(one: OnVersion) -> JsonObject:
    return {
        "channel": one.channel,
        "version": one.version,
        "published_at": render_time(one.published_at),
        "installs": one.installs,
        "running": one.running,
        "first_at": _time(one.first_at),
        "last_at": _time(one.last_at),
        "new": one.is_new,
    }


def _first_seen_in(counts: Iterable[CrashCount]) -> JsonObject | None:
    first = min(counts, key=lambda one: (one.first_at, one.version), default=None)
    return None if first is None else {"version": first.version, "at": _time(first.first_at)}


def _crashed(one: CrashedInstalls) -> JsonObject:
    return {
        "version": one.version,
        "arm": one.arm,
        "installs": one.installs,
        "with_signature": one.named,
    }


def _sample(one: Sample) -> JsonObject:
    return {
        "id": one.id,
        "at": render_time(one.at),
        "version": one.version,
        "signature": one.signature,
        "handled": one.handled,
        "report": dict(one.body),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else render_time(at)
