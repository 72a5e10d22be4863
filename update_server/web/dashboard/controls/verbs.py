"""``…/rollouts/{rollout}/pause``, ``resume``, ``pull`` and ``promote``: the verbs, as forms.

The same use-cases as the API's, so the same rules and the same words. Pause is one press from any
page; the others have a page of their own, with the evidence as it is now, and what will become of
how many installs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from flask import Blueprint, Response

from rollout.model import RolloutId
from update_server.service.access.caller import Caller
from update_server.service.errors import PendingError, RolloutRefusedError
from update_server.service.ports import LeaseLostError, Role, UnavailableError
from update_server.web import wire_admin
from update_server.web.admin import rollouts
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.bodies import path_of, rollout_body, study_body
from update_server.web.dashboard.controls import presses
from update_server.web.dashboard.controls.presses import REFUSALS, Refusal
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.forms import Sent
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.errors import BadFieldError

_PATH: Final = "/apps/<name:app>/rollouts/<name:rollout>"

# What each form may bear, besides what all do.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "pause": ("reason",),
        "resume": ("reason", "waive_days", "password", "confirm"),
        # The password is nobody's duty here: with it the signer sees a person, whom no limit to
        # what the server does by itself binds.
        "pull": ("reason", "replacement", "confirm", "password"),
        "promote": ("reason", "override", "password", "confirm"),
    }
)
_STATE_AFTER: Final[Mapping[str, str]] = MappingProxyType({"pause": "paused", "pull": "pulled"})

# A pause is one press: it has a reason even where nobody took the time to type one.
_PAUSED_FROM_HERE: Final = "paused from the dashboard"
_KEPT_FROM_HERE: Final = "kept paused from the dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One press of a form: who, of what, and what it says."""

    visitor: Visitor
    app: str
    rollout: RolloutId
    verb: str
    it: dict[str, Any]
    form: Sent

    @property
    def path(self) -> str:
        """The release page."""
        return path_of(self.it)


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the forms, and what they do."""
    bp = Blueprint("verbs", __name__)
    door = pages.door

    @bp.get(f"{_PATH}/<any(resume, pull, promote):verb>")
    def get_verb(app: str, rollout: str, verb: str) -> Response:
        visitor = door.require(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)
        if not is_possible(it, verb):
            return _impossible(visitor, it, verb)
        return _shown(visitor, it, verb)

    @bp.post(f"{_PATH}/<any(pause, resume, pull, promote):verb>")
    def post_verb(app: str, rollout: str, verb: str) -> Response:
        visitor = door.require_post(Role.OPERATOR, app)
        it = rollout_body(services, app, rollout)
        form = None
        try:
            form = forms.sent(_FIELDS[verb], ("waive",) if verb == "resume" else ())
            asked = _Asked(
                visitor=visitor, app=app, rollout=RolloutId(rollout), verb=verb, it=it, form=form
            )
            return presses.once(services, visitor.caller, form, _act(asked), asked.path)
        except PendingError:
            return see_other(path_of(it))  # which says for whom it waits
        except RolloutRefusedError as error:
            return _overtaken(visitor, it, verb, form, error)
        except (UnavailableError, LeaseLostError) as error:
            return _recorded(visitor, it, verb, form, error)
        except REFUSALS as error:
            return _shown(visitor, it, verb, form, presses.refusal_of(error))

    def _act(asked: _Asked) -> Callable[[], object]:
        verb = forms.verb_of(asked.form)
        check(asked.it, asked.verb, asked.form)

        def act() -> object:
            caller = asked.visitor.caller
            if asked.form.get("password"):
                caller = door.approving(asked.visitor, asked.form.get("password"))
            return _carry_out(services, caller, asked, verb)

        return act

    def _shown(
        visitor: Visitor,
        it: dict[str, Any],
        verb: str,
        form: Sent | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        ways = rollouts.ways_back_body(services, it["app"], it["id"]) if verb == "pull" else {}
        return pages.show(
            f"{verb}.html",
            visitor,
            app=it["app"],
            status=200 if refusal is None else refusal.status,
            it=it,
            n=Numbers(it),
            needs=_needs(it, verb),
            study=study_body(services, it["app"], it["id"]) if verb == "promote" else None,
            ways_back=ways.get("items", ()),
            verb=verb,
            needs_password=needs_password(it, verb),
            needs_version=needs_version(it, verb),
            typed={"reason": _known_reason(it, verb)}
            if form is None
            else presses.shown_again(form),
            waived=() if form is None else form.lists.get("waive", ()),
            refusal=refusal,
            key=forms.fresh_key(),
            has_form=True,
        )

    def _impossible(visitor: Visitor, it: dict[str, Any], verb: str) -> Response:
        return pages.show(
            "overtaken.html",
            visitor,
            app=it["app"],
            status=409,
            problem={"code": "illegal_transition", "detail": ""},
            line=presses.last_change(services, it),
            verb=verb,
            typed={},
            it=it,
            has_form=True,
        )

    def _overtaken(
        visitor: Visitor,
        it: dict[str, Any],
        verb: str,
        form: Sent | None,
        error: RolloutRefusedError,
    ) -> Response:
        it = rollout_body(services, it["app"], it["id"])
        line = presses.last_change(services, it)
        if form is not None and presses.is_mine(line, visitor.caller, verb, form.revision):
            return see_other(path_of(it))
        return presses.overtaken(pages, visitor, error, line, form, verb=verb, it=it)

    def _recorded(
        visitor: Visitor,
        it: dict[str, Any],
        verb: str,
        form: Sent | None,
        error: Exception,
    ) -> Response:
        """Show what is so: what narrows may be wanted already, and not be in force yet."""
        now = rollout_body(services, it["app"], it["id"])
        if now["state"] == _STATE_AFTER.get(verb):
            return see_other(path_of(it))  # which says that it is not in force yet
        return _shown(visitor, now, verb, form, presses.refusal_of(error))

    return bp


def is_suspended(it: dict[str, Any]) -> bool:
    """Whether judging of a rollout that goes on was suspended."""
    return (it["state"], it["verdict"]) == ("active", "suspend")


def is_possible(it: dict[str, Any], verb: str) -> bool:
    """Whether *verb* fits the state; resuming also ends the judge's suspension."""
    return verb in it["legal"] or (verb == "resume" and is_suspended(it))


def needs_password(it: dict[str, Any], verb: str) -> bool:
    """Whether the signer wants to see who approves."""
    if verb == "promote":
        step = it["next_ring"] or {}
        return bool(step.get("approvals")) or _needs(it, verb)["override"]
    return verb == "resume" and not is_suspended(it)


def needs_version(it: dict[str, Any], verb: str) -> bool:
    """Whether the version is to be typed: what cannot be undone, or what nobody else looks at."""
    if verb == "resume":
        return (it["paused_by"], _needs(it, verb)["people"]) == ("automatic", 1)
    if verb == "promote":
        return (_needs(it, verb)["override"], _needs(it, verb)["people"]) == (True, 1)
    return verb == "pull"


def _needs(it: dict[str, Any], verb: str) -> Mapping[str, Any]:
    """Return what *verb* takes, in people and in words."""
    found: Mapping[str, Any] = it["needs"].get(verb, {"people": 1, "override": False, "why": ()})
    return found


def _known_reason(it: dict[str, Any], verb: str) -> str:
    """Return why, where the server has said it: only the version is then left to type."""
    cause = (it["judged"] or {}).get("cause_metric")
    if verb == "pull" and it["paused_by"] == "automatic" and cause:
        return f"paused by the server: {cause.replace('_', ' ')}"
    return ""


def check(it: dict[str, Any], verb: str, form: Sent) -> None:
    """Return if the form has what only a form is asked for. Raises BadFieldError."""
    if verb != "pause":
        forms.check_reason(form)
    if needs_version(it, verb):
        forms.check_typed_version(form, it["version"])
    if needs_password(it, verb) and not form.get("password"):
        raise BadFieldError("password", "type your password again: what widens is approved by it")


def _carry_out(
    services: AdminServices, caller: Caller, asked: _Asked, said: wire_admin.Verb
) -> object:
    control, app, rollout, seen = services.control, asked.app, asked.rollout, asked.form.revision
    if asked.verb == "pause":
        # Whatever revision was seen: who wants to stop should not have to look.
        saw_it_paused = (asked.it["state"], asked.it["revision"]) == ("paused", seen)
        reason = said.reason or (_KEPT_FROM_HERE if saw_it_paused else _PAUSED_FROM_HERE)
        return control.pause(caller, app, rollout, reason=reason)
    if asked.verb == "pull":
        return control.pull(
            caller,
            app,
            rollout,
            reason=said.reason,
            replacement=wire_admin.optional_version(said.replacement, "replacement"),
            expected_revision=seen,
        )
    if asked.verb == "promote":
        return control.promote(
            caller,
            app,
            rollout,
            ring=said.ring,
            reason=said.reason,
            override=said.override,
            expected_revision=seen,
        )
    return control.resume(
        caller,
        app,
        rollout,
        reason=said.reason,
        expected_revision=seen,
        waived=said.waive,
        waived_for=timedelta(seconds=said.waive_seconds),
    )
