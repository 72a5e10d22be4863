"""``…/rollouts/{rollout}/hold`` and ``…/lift/{hold}``: keep a platform where it is, and let it go.

Holding narrows: one form, no password. Lifting widens, as resuming does. Other audiences than
platforms are for the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response

from rollout.model import RolloutId
from update_server.service.errors import PendingError
from update_server.service.ports import NotFoundError, Role
from update_server.web import wire_admin
from update_server.web.admin import fleet, holds
from update_server.web.admin.queries import MAX_LIMIT, Part
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.bodies import path_of, rollout_body
from update_server.web.dashboard.controls import presses
from update_server.web.dashboard.controls.presses import REFUSALS, Refusal
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.forms import Sent
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.errors import BadFieldError

_PATH: Final = "/apps/<name:app>/rollouts/<name:rollout>"
_HOLD: Final = ("title", "link", "reason")
_LIFT: Final = ("reason", "password")


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the forms, and what they do."""
    bp = Blueprint("holds_page", __name__)
    door = pages.door

    @bp.get(f"{_PATH}/hold")
    def get_hold(app: str, rollout: str) -> Response:
        visitor = door.require(Role.OPERATOR, app)
        return _shown(visitor, rollout_body(services, app, rollout), "hold")

    @bp.post(f"{_PATH}/hold")
    def post_hold(app: str, rollout: str) -> Response:
        visitor = door.require_post(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)
        form = None
        try:
            form = forms.sent(_HOLD, ("platform",))
            asked = _asked(it, form)

            def hold() -> object:
                return services.holds.add(
                    visitor.caller,
                    app,
                    asked.channel,
                    title=asked.title,
                    link=asked.link,
                    audience=wire_admin.audience_of(asked.audience),
                    reason=asked.reason,
                    rollout=RolloutId(it["id"]),
                )

            return presses.once(services, visitor.caller, form, hold, path_of(it))
        except REFUSALS as error:
            return _shown(visitor, it, "hold", form=form, refusal=presses.refusal_of(error))

    @bp.get(f"{_PATH}/lift/<name:hold>")
    def get_lift(app: str, rollout: str, hold: str) -> Response:
        visitor = door.require(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)
        return _shown(visitor, it, "lift", held=held(services, app, hold))

    @bp.post(f"{_PATH}/lift/<name:hold>")
    def post_lift(app: str, rollout: str, hold: str) -> Response:
        visitor = door.require_post(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)
        known, form = held(services, app, hold), None
        try:
            form = forms.sent(_LIFT)
            forms.check_reason(form)
            if not form.get("password"):
                raise BadFieldError("password", "type your password again: lifting widens")
            reason, password = forms.verb_of(form).reason, form.get("password")

            def lift() -> None:
                caller = door.approving(visitor, password)
                services.holds.lift(caller, app, hold, reason=reason)

            return presses.once(services, visitor.caller, form, lift, path_of(it))
        except PendingError:
            return see_other(path_of(it))  # which says for whom it waits
        except REFUSALS as error:
            refusal = presses.refusal_of(error)
            return _shown(visitor, it, "lift", held=known, form=form, refusal=refusal)

    def _shown(
        visitor: Visitor,
        it: dict[str, Any],
        kind: str,
        *,
        held: Mapping[str, Any] | None = None,
        form: Sent | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        whole = fleet.rendered(services.fleets.view(it["app"]))
        return pages.show(
            f"{kind}.html",
            visitor,
            app=it["app"],
            status=200 if refusal is None else refusal.status,
            it=it,
            n=Numbers(it),
            fleet=whole,
            f=Numbers(whole),
            platforms=services.apps.named(it["app"]).platforms,
            held=held,
            verb=kind if held is None else f"lift/{held['id']}",
            typed={} if form is None else presses.shown_again(form),
            ticked=() if form is None else form.lists.get("platform", ()),
            refusal=refusal,
            key=forms.fresh_key(),
            has_form=True,
        )

    return bp


def held(services: AdminServices, app: str, hold: str) -> Mapping[str, Any]:
    """Return a hold that is in force. Raises NotFoundError."""
    for each in holds.page_body(services, app, Part(limit=MAX_LIMIT))["items"]:
        if each["id"] == hold:
            found: Mapping[str, Any] = each
            return found
    raise NotFoundError("hold", hold)


def _asked(it: Mapping[str, Any], form: Sent) -> wire_admin.AddHold:
    if not form.lists["platform"]:
        raise BadFieldError("platform", "tick at least one: whom nothing names is not held back")
    said = {
        "channel": it["channel"],
        "rollout": it["id"],
        "title": form.get("title"),
        "link": form.get("link"),
        "reason": form.get("reason"),
        "audience": {"platform": form.lists["platform"]},
    }
    return forms.as_json(said, wire_admin.AddHold)
