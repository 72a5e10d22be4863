"""``/apps/{app}/telemetry``: what arrives, what does not, and how far to trust it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.service.telemetry.health import MOST_HOURS
from update_server.web.admin import telemetry
from update_server.web.admin.queries import number_asked
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.charts import Chart, Size, Step, arrivals
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages

PIECES: Final = ("lines", "arrivals", "arrivals_table", "losses", "arms", "asides")
"""What of the page stays live: all but the form."""

HOURS: Final = 3
"""What is shown unless more is asked for."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BARS: Final = 36  # each has a row for every kind in the chart's table

RULES: Final[Mapping[str, str]] = {
    "version_not_in_token": "a version of another channel or platform than the install's",
    "unknown_version": "a version that nobody published",
    "implausible": "more starts within an hour than an app can have, or a negative duration",
    "expired_token": "an SDK's token that is too old",
    "bad_token": "a token that is none of ours",
}
"""What each rule sets aside, in short; docs/evidence.md has all of it."""


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("telemetry", __name__)

    @bp.get("/apps/<name:app>/telemetry")
    def get_telemetry(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        hours = number_asked("hours", default=HOURS, most=MOST_HOURS)
        return shown(services, pages, visitor, app, hours)

    return bp


def shown(
    services: AdminServices,
    pages: Pages,
    visitor: Visitor,
    app: str,
    hours: int = HOURS,
    *,
    status: int = 200,
    **context: Any,
) -> Response:
    """Return the page, or its form again with what was wrong with it."""
    it = telemetry.body(services, app, hours)
    # Looking at two days takes long, and changes little: whoever does reloads it.
    pieces = PIECES if hours <= HOURS else ()
    return pages.show(
        "telemetry.html",
        visitor,
        app=app,
        pieces=pieces,
        status=status,
        it=it,
        n=Numbers(it),
        hours=hours,
        chart=chart_of(it),
        rules=RULES,
        is_word=_is_word,
        newest_at=it["newest_at"],
        key=forms.fresh_key(),
        has_form=visitor.may(Role.OPERATOR),
        **context,
    )


def chart_of(it: Mapping[str, Any]) -> Chart:
    """Return what arrived as a chart, of the API's answer."""
    return arrivals(
        "arrivals-chart",
        [
            Step(
                at=datetime.fromisoformat(one["at"]).timestamp(),
                kind=one["kind"],
                events=one["events"],
                rejected=one["rejected"],
                late_seconds=one["late_seconds"],
            )
            for one in it["arrivals"]
        ],
        step_seconds=it["step_seconds"],
        size=Size(height=230, points=_BARS),
    )


def _is_word(name: str) -> bool:
    """Whether *name*, which an SDK may have chosen, may stand in an attribute."""
    return _WORD.fullmatch(name) is not None
