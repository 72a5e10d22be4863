"""What all controls share: a press acts once, and what goes wrong with it loses nothing.

A form that was refused is shown again with what was typed, and says which field is wrong. What
somebody else did meanwhile is told by their name: nothing was done then.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from flask import Response, request

from update_server.service.access.caller import Caller
from update_server.service.errors import (
    ApprovalsMissingError,
    BadValueError,
    NoPasswordError,
    RolloutRefusedError,
    ServiceError,
    TooManyFailuresError,
    WrongPasswordError,
)
from update_server.service.ports import NotFoundError
from update_server.service.ports.errors import PortError
from update_server.web.admin import audit
from update_server.web.admin.queries import Part
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.forms import Sent
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.errors import BadFieldError, ReusedKeyError, WebError, problem_for

_LOOKED_AT: Final = 20

REFUSALS: Final = (WebError, ServiceError, PortError)
"""What a press may meet and a page can say; all else is our fault."""

_SECRET: Final = "password"  # noqa: S105 - the name of a field
_OF_THE_PASSWORD: Final = (WrongPasswordError, NoPasswordError, TooManyFailuresError)

_GUARD: Final = threading.Lock()
_TAKEN: Final[dict[tuple[str, str, str], tuple[threading.Lock, int]]] = {}

# What verbs are called once they were done; the audit log has them as "rollout.<verb>".
DONE: Final[Mapping[str, str]] = {
    "start": "started",
    "promote": "promoted",
    "pause": "paused",
    "resume": "resumed",
    "pull": "pulled",
    "supersede": "superseded",
    "complete": "completed",
    "unsuspend": "let be judged again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a form is shown again: a sentence, and the field that it is about if it is about one."""

    status: int
    code: str
    text: str
    field: str = ""


def once(
    services: AdminServices, caller: Caller, form: Sent, act: Callable[[], object], to: str
) -> Response:
    """Do *act* unless this form was taken before, and send the browser *to*.

    Only what was done is remembered: after an error it may be sent again.

    Raises:
        ReusedKeyError: The form came with other words before.
    """
    what = f"{request.method} {request.path}"
    digest = _digest(form)
    with _in_turn((caller.token_id, what, form.key)):
        known = services.replays.recall(caller, what, form.key)
        if known is None:
            act()
            services.replays.remember(caller, what, form.key, digest)
        elif known != digest:
            raise ReusedKeyError
    return see_other(to)


@contextmanager
def _in_turn(form: tuple[str, str, str]) -> Iterator[None]:
    """Have a form that is sent twice at once, by a double click, wait for itself.

    One process serves the pages. Forms never wait for others.
    """
    with _GUARD:
        lock, users = _TAKEN.get(form, (threading.Lock(), 0))
        _TAKEN[form] = lock, users + 1
    try:
        with lock:
            yield
    finally:
        with _GUARD:
            lock, users = _TAKEN.pop(form)
            if users > 1:
                _TAKEN[form] = lock, users - 1


def refusal_of(error: Exception) -> Refusal:
    """Return what a form says of *error*."""
    problem = problem_for(error)
    text = problem.detail
    field = ""
    if isinstance(error, BadFieldError | BadValueError):
        field = error.field
        text = text.removeprefix(f"{field}: ")
    elif isinstance(error, _OF_THE_PASSWORD):
        field = _SECRET
    elif isinstance(error, ApprovalsMissingError) and error.hint:
        field = "override"
    return Refusal(status=problem.status, code=problem.code, text=_sentence(text), field=field)


def last_change(services: AdminServices, it: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the newest line of its history that says what was done to a rollout."""
    lines = audit.history_body(services, it["app"], it["id"], Part(limit=_LOOKED_AT))["items"]
    return newest_change(lines)


def newest_change(lines: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first of *lines* that says what was done."""
    return next((line for line in lines if _is_change(line)), None)


def _is_change(line: Mapping[str, Any]) -> bool:
    """Whether *line* is a verb that changed something, not why it stays as it is."""
    kind, _, verb = line["action"].partition(".")
    return kind == "rollout" and verb in DONE and line["before"] != line["after"]


def is_mine(line: Mapping[str, Any] | None, caller: Caller, verb: str, seen_revision: int) -> bool:
    """Whether *line* is what this press asked for: it was sent twice, and taken once."""
    return (
        line is not None
        and (line["actor"], line["action"]) == (caller.name, f"rollout.{verb}")
        and (line["before"] or {}).get("revision") == seen_revision
    )


def overtaken(
    pages: Pages,
    visitor: Visitor,
    error: RolloutRefusedError,
    line: Mapping[str, Any] | None,
    form: Sent | None,
    *,
    verb: str,
    it: Mapping[str, Any],
) -> Response:
    """Return the page that says that nothing was done, and who did what before."""
    problem = problem_for(error)
    return pages.show(
        "overtaken.html",
        visitor,
        app=it["app"],
        status=problem.status,
        problem=problem,
        line=line,
        done=None if line is None else DONE[line["action"].removeprefix("rollout.")],
        verb=verb,
        typed={} if form is None else shown_again(form),
        it=it,
        has_form=True,
    )


def shown_again(form: Sent) -> Mapping[str, str]:
    """Return what was typed, but for what is secret."""
    return {name: text for name, text in form.typed.items() if name != _SECRET}


def is_nowhere(error: Exception) -> bool:
    """Whether *error* says that there is no such thing: then there is no form to show again."""
    return isinstance(error, NotFoundError)


def _digest(form: Sent) -> bytes:
    told = {"typed": dict(shown_again(form)), "lists": dict(form.lists), "seen": form.revision}
    ordered = msgspec.json.encode(told, order="sorted")
    return hashlib.sha256(ordered).hexdigest().encode()


def _sentence(text: str) -> str:
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return f"{ended[:1].upper()}{ended[1:]}"
