"""``/``: what is rolling now, the worst first; and whether those who should know were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import notifications, rollouts
from update_server.web.admin.queries import MAX_LIMIT, Part
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.pages import Pages

# What somebody should look at first. A release without a verdict is no better than a good one.
_BY_VERDICT: Final = {"pull": 0, "pause": 1, "suspend": 2, None: 4, "continue": 5, "promote": 6}
_PAUSED: Final = 3
_SAID_ABOVE: Final = "undelivered"  # there is an alert of each such target as well
_ALL: Final = Part(limit=MAX_LIMIT)


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("now", __name__)

    @bp.get("/")
    def get_now() -> Response:
        visitor = pages.door.require(Role.VIEWER)
        app = visitor.caller.app
        found = rollouts.live_body(services, app, _ALL)["items"]
        return pages.show(
            "now.html",
            visitor,
            pieces=("trouble", "rolling"),
            fresh_key=forms.fresh_key,
            rollouts=sorted(found, key=_worst_first),
            undelivered=notifications.undelivered_body(services, app)["items"],
            alerts=[
                each
                for each in notifications.alerts_body(services, app, _ALL)["items"]
                if not each["reason"].startswith(_SAID_ABOVE)
            ],
            **_newest(found),
        )

    return bp


def _newest(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return of when the newest datum is; nothing where none is expected."""
    if not found:
        return {}
    return {"newest_at": max(each["newest_datum_at"] or "" for each in found) or None}


def _worst_first(rollout: Mapping[str, Any]) -> tuple[int, float, str, str]:
    """Return where *rollout* stands: paused before rolling, and then by the evidence against it."""
    rank = min(
        _PAUSED if rollout["state"] == "paused" else 9, _BY_VERDICT.get(rollout["verdict"], 4)
    )
    judged = rollout["judged"] or {}
    against = [
        each["log_e"] / each["needed"]
        for each in judged.get("log_e_by_metric", {}).values()
        if each.get("log_e") is not None and each.get("needed")
    ]
    return rank, -max(against, default=0.0), rollout["app"], rollout["id"]
