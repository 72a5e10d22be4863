"""``/apps/{app}/crashes`` and ``…/crashes/{signature}``: what crashed, and all of one crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire_admin
from update_server.web.admin import apps, crashes, series
from update_server.web.admin.queries import Part, cursor_asked
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.charts import Chart, Hour, sparkline
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages
from update_server.web.dashboard.views.crash_text import (
    MOST_PLACES,
    is_linked,
    stack_of,
    text_of,
)

ON_A_PAGE: Final = 50

_ARMS: Final = ("candidate", "control")


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the pages."""
    bp = Blueprint("crashes", __name__)

    @bp.get("/apps/<name:app>/crashes")
    def get_crashes(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        # A field of a form that was left empty asks for nothing.
        version, channel = (request.args.get(name) or None for name in ("version", "channel"))
        part = Part(limit=ON_A_PAGE, cursor=cursor_asked())
        found = crashes.list_body(
            services,
            app,
            part,
            version=wire_admin.optional_version(version, "version"),
            channel=None if channel is None else wire_admin.channel_name(channel),
        )
        return pages.show(
            "crashes.html",
            visitor,
            app=app,
            it=found,
            n=Numbers(found),
            channels=apps.page_body(services, app, Part(limit=1))["items"][0]["channels"],
            version=version,
            channel=channel,
            start=part.cursor or 0,
            is_linked=is_linked,
        )

    @bp.get("/apps/<name:app>/crashes/<name:signature>")
    def get_crash(app: str, signature: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        return shown(services, pages, visitor, app, signature)

    return bp


def shown(
    services: AdminServices,
    pages: Pages,
    visitor: Visitor,
    app: str,
    signature: str,
    *,
    status: int = 200,
    **context: Any,
) -> Response:
    """Return the page of one crash, or one of its forms again with what was wrong with it."""
    it = crashes.body(services, app, signature)
    newest = next(
        (one for one in it["rollouts"] if any(one[arm]["installs"] for arm in _ARMS)), None
    )
    return pages.show(
        "crash.html",
        visitor,
        app=app,
        status=status,
        it=it,
        n=Numbers(it),
        places=_worst(it),
        newest=newest,
        chart=None if newest is None else _hours(services, app, it, newest),
        stack="\n".join(stack_of(it)),
        text=text_of(app, it),
        is_linked=is_linked,
        key=forms.fresh_key(),
        has_form=True,
        **context,
    )


def _hours(
    services: AdminServices, app: str, it: Mapping[str, Any], rollout: Mapping[str, Any]
) -> Chart:
    """Return in which hours installs of a rollout first had the crash, as a chart."""
    names = [it["signature"], *it["same"]]
    found = series.hours_body(services, app, names, rollout["rollout"])
    hours: dict[str, Counter[str]] = {}
    for one in found["signatures"]:
        for hour in one["hours"]:
            counts = hours.setdefault(hour["at"], Counter())
            counts.update({arm: hour[arm] for arm in _ARMS})
    return sparkline(
        "hours-chart",
        [
            Hour(
                at=datetime.fromisoformat(at).timestamp(),
                candidate=counts["candidate"],
                control=counts["control"],
            )
            for at, counts in sorted(hours.items())
        ],
        title=f"Installs that first crashed with it in the rollout of {rollout['version']}",
        at_risk=(rollout["candidate"]["of"], rollout["control"]["of"]),
    )


def _worst(it: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the places where most installs crashed, each with where it stands in the answer."""
    by_installs = sorted(
        enumerate(it["counts"]), key=lambda place: -place[1]["installs"] - place[1]["reports"] / 1e9
    )
    return by_installs[:MOST_PLACES]
