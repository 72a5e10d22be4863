"""``/apps/{app}/fleet``: which versions run, who should have moved on, and how fast others do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import fleet, version_days, versions
from update_server.web.admin.queries import Part, cursor_asked
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.charts import Chart, Day
from update_server.web.dashboard.charts import versions as drawn
from update_server.web.dashboard.charts.versions import OTHERS
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages

ON_A_PAGE: Final = 50
DAYS: Final = 28
MOST_DRAINS: Final = 12


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("fleet", __name__)

    @bp.get("/apps/<name:app>/fleet")
    def get_fleet(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        part = Part(limit=ON_A_PAGE, cursor=cursor_asked())
        it = {
            "fleet": fleet.body(services, app),
            "versions": versions.page_body(services, app, part),
            "days": version_days.body(services, app, DAYS),
        }
        return pages.show(
            "fleet.html",
            visitor,
            app=app,
            it=it,
            n=Numbers(it),
            start=part.cursor or 0,
            chart=chart_of(it["days"]),
            drains=_drains(it["days"]),
        )

    return bp


def chart_of(days: Mapping[str, Any]) -> Chart:
    """Return which versions ran on each day as a chart, of the API's answer."""
    found: dict[str, Counter[str]] = {}
    for one in days["items"]:
        found.setdefault(one["day"], Counter())[one["version"] or OTHERS] += one["installs"]
    return drawn(
        "versions-chart",
        [Day(at=_instant(day), installs=installs) for day, installs in sorted(found.items())],
    )


def _drains(days: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the versions that most installs are leaving, each with where it stands."""
    found = enumerate(days["drains"])
    return sorted(found, key=lambda drain: -drain[1]["last_installs"])[:MOST_DRAINS]


def _instant(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
