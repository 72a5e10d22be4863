"""``…/versions/days``: which versions ran on each day, and how fast they are left."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.service.rollouts.version_days import KEPT_DAYS, instant_of
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import number_asked
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard

DEFAULT_DAYS: Final = 60


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("version_days", __name__)

    @bp.get("/v1/admin/apps/<name:app>/versions/days")
    def get_version_days(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(
            body(services, app, number_asked("days", default=DEFAULT_DAYS, most=KEPT_DAYS))
        )

    return bp


def body(services: AdminServices, app: str, days: int = DEFAULT_DAYS) -> JsonObject:
    """Return the counts of the last *days*, oldest first. A version that is null is all others."""
    view = services.version_history.look(app, days)
    return {
        "since": _day(view.since),
        "today": _day(view.today),
        "items": [
            {
                "day": _day(each.day),
                "channel": each.channel,
                "version": each.version or None,
                "installs": each.installs,
            }
            for each in view.counts
        ],
        "drains": [
            {
                "channel": each.channel,
                "version": each.version,
                "first_day": _day(each.first_day),
                "first_installs": each.first,
                "last_day": _day(each.last_day),
                "last_installs": each.last,
                "halves_in_days": each.halves_in_days,
            }
            for each in view.drains
        ],
    }


def _day(day: int) -> str:
    return f"{instant_of(day):%Y-%m-%d}"
