"""What operators say of a crash: waived for some days, waived no more, the same as another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from flask import Blueprint, Response

from update_server.service.access.caller import Caller
from update_server.service.ports import Role
from update_server.web import wire_admin, wire_crashes
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.controls import presses
from update_server.web.dashboard.forms import Sent
from update_server.web.dashboard.pages import Pages
from update_server.web.dashboard.views.crashes import shown

_PATH: Final = "/apps/<name:app>/crashes/<name:signature>"


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return what the forms of a crash do."""
    bp = Blueprint("waiver_forms", __name__)

    @bp.post(f"{_PATH}/waive")
    def waive(app: str, signature: str) -> Response:
        fields = ("place", "waive_days", "reason")
        return press(
            app, signature, "waive", fields, lambda who, form: add(who, app, signature, form)
        )

    @bp.post(f"{_PATH}/same-as")
    def same_as(app: str, signature: str) -> Response:
        fields = ("signature", "reason")
        return press(
            app, signature, "same", fields, lambda who, form: join(who, app, signature, form)
        )

    @bp.post(f"{_PATH}/waivers/<name:waiver>/end")
    def end(app: str, signature: str, waiver: str) -> Response:
        def remove(caller: Caller, form: Sent) -> None:
            services.waivers.remove(caller, app, waiver, reason=_reason(form))

        return press(app, signature, "end", ("reason",), remove)

    def add(caller: Caller, app: str, signature: str, form: Sent) -> None:
        asked = waiver_of(services, signature, form)
        services.waivers.add(
            caller,
            app,
            wire_admin.channel_name(asked.channel),
            wire_admin.version_of(asked.version),
            asked.signature,
            expires_at=wire_admin.utc(asked.expires_at),
            reason=asked.reason,
        )

    def join(caller: Caller, app: str, signature: str, form: Sent) -> None:
        told = {"signature": form.get("signature"), "reason": form.get("reason")}
        asked = forms.read_as(told, wire_crashes.parse_same_as)
        services.crashes.same_as(caller, app, signature, asked.signature, reason=asked.reason)

    def press(
        app: str,
        signature: str,
        name: str,
        fields: tuple[str, ...],
        act: Callable[[Caller, Sent], None],
    ) -> Response:
        visitor = pages.door.require_post(Role.OPERATOR, app)
        form = None
        try:
            form = forms.sent(fields)
            taken = form
            to = f"/apps/{app}/crashes/{signature}"
            return presses.once(
                services, visitor.caller, form, lambda: act(visitor.caller, taken), to
            )
        except presses.REFUSALS as error:
            if presses.is_nowhere(error) and name != "same":
                raise
            refusal = presses.refusal_of(error)
            if presses.is_nowhere(error):
                refusal = replace(refusal, field="signature")
            typed = {} if form is None else presses.shown_again(form)
            return shown(
                services,
                pages,
                visitor,
                app,
                signature,
                status=refusal.status,
                refusal=refusal,
                typed=typed,
                form=name,
            )

    return bp


def waiver_of(services: AdminServices, signature: str, form: Sent) -> wire_admin.AddWaiver:
    """Return the waiver that *form* asks for, read as the API reads it. Raises BadFieldError."""
    channel, _, version = form.get("place").partition("/")
    expires_at = services.clock.now() + timedelta(days=forms.days_of(form.get("waive_days")))
    return forms.as_json(
        {
            "channel": channel,
            "version": version,
            "signature": signature,
            "expires_at": expires_at.replace(microsecond=0).isoformat(),
            "reason": form.get("reason"),
        },
        wire_admin.AddWaiver,
    )


def _reason(form: Sent) -> str:
    return forms.as_json({"reason": form.get("reason")}, wire_admin.Verb).reason
