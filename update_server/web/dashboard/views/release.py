"""``/apps/{app}/rollouts/{rollout}``: one release. What happened, how sure, what to press."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web.admin.queries import Part, optional_number
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.bodies import page_bodies, path_of
from update_server.web.dashboard.controls.buttons import buttons_of
from update_server.web.dashboard.controls.presses import last_change, newest_change
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages
from update_server.web.dashboard.views.release_charts import charts_of, hours_of
from update_server.web.dashboard.views.release_history import said, who

PIECES: Final = (
    "said",
    "changed",
    "standing",
    "choices",
    "rings",
    "signatures",
    "signatures_table",
    "crash_free",
    "crash_free_table",
    "against",
    "against_table",
    "funnel",
    "funnel_table",
    "trust",
    "history",
)
"""What of the page stays live: all but forms, and what is opened."""

HISTORY_AT_ONCE: Final = 50
ARMS: Final = {"candidate": "offered it", "control": "held back", "internal": "of the staff"}
"""What arms are called on the page."""

_KINDS: Final[Mapping[str | None, str]] = {
    "pause": "stopped",
    "pull": "stopped",
    "suspend": "doubt",
    "continue": "going",
    "promote": "good",
    None: "none",
}


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("release", __name__)

    @bp.get("/apps/<name:app>/rollouts/<name:rollout>")
    def get_release(app: str, rollout: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        part = _part()
        told = page_bodies(services, app, rollout, part)
        it, lines = told.rollout, told.history["items"]
        return pages.show(
            "release.html",
            visitor,
            app=app,
            pieces=PIECES,
            newest_at=it["newest_datum_at"],
            it=it,
            n=Numbers(it),
            study=told.study,
            m=Numbers(told.study or {}),
            trust=told.trust,
            t=Numbers(told.trust),
            path=path_of(it),
            kind=_kind(it),
            last=last_change(services, it) if part.cursor else newest_change(lines),
            holds=told.holds,
            buttons=buttons_of(it, visitor),
            key=forms.fresh_key(),
            key_of_reason=forms.fresh_key(),
            keys={ask["id"]: forms.fresh_key() for ask in it["pending"]},
            charts=charts_of(it, told.series),
            hours=hours_of(it, told.series),
            history=told.history,
            said=said,
            who=who,
            arms=ARMS,
            seen=_seen(it),
            seen_then=request.args.get("seen", ""),
        )

    return bp


def _part() -> Part:
    """Return which part of the history is asked for."""
    return Part(limit=HISTORY_AT_ONCE, cursor=optional_number("before", least=0) or None)


def _kind(it: Mapping[str, Any]) -> str:
    """Return what colour a release has: of its state where that says more than the verdict."""
    if it["state"] in {"paused", "pulled"}:
        return "stopped"
    return _KINDS.get(it["verdict"], "none")


def _seen(it: Mapping[str, Any]) -> str:
    """Return what the buttons of a page depend on, in short."""
    return ".".join(
        [str(it["revision"]), it["verdict"] or "", *(ask["id"] for ask in it["pending"])]
    )
