"""What people send with forms: text to the JSON that the API takes for the same, read alike.

Read strictly, once: only the fields of the form, each once, and of 64 kB in all. What a field may
hold is the API's to say (``web.wire_admin``), so that rules are the same however something is
asked. What was typed goes with the error, for nobody should have to type it twice.

Not here: whether the form is one of ours, shown in this session (``door``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from flask import request

from update_server.web import wire, wire_admin
from update_server.web.errors import BadFieldError

T = TypeVar("T")

MAX_FORM_BYTES: Final = 64 * 1024
LONGEST_WAIVER_DAYS: Final = 14

_HIDDEN: Final = frozenset({"csrf", "revision", "key"})
_REVISION: Final = re.compile(r"[0-9]{1,9}")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_DAYS: Final = re.compile(r"[0-9]{1,2}")

# What a field takes, for people; the wire's own words are for programs.
_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reason": "at most 500 characters, none of which is a control character",
        "replacement": "one of the versions in the list",
        "ring": "one of the rings in the list",
        "waive": "at most 64 of the crashes in the list",
        "title": "1 to 200 characters in one line",
        "link": "1 to 500 characters in one line, such as https://status.example.org/1",
        "signature": "16 digits from 0 to f, as the address of its page has them",
        "rule": "one of the rules in the list",
        "version": "at most 128 characters in one line",
        "platform": "at least one of the platforms in the list",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A form as it was sent.

    ``typed`` has each field that was filled in, ``lists`` those that may come more than once.
    ``revision`` is the rollout's that was looked at, ``key`` this form's own
    (``Idempotency-Key``): sent twice, it acts once.
    """

    typed: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    revision: int
    key: str

    def get(self, name: str) -> str:
        """Return what was typed into a field; empty where nothing was."""
        return self.typed.get(name, "")


def fresh_key() -> str:
    """Return a key for a form that is about to be shown."""
    return secrets.token_urlsafe(16)


def limit_bytes() -> None:
    """Have the request's body refused beyond ``MAX_FORM_BYTES``. Before anything reads it."""
    request.max_content_length = MAX_FORM_BYTES


def sent(fields: Collection[str] = (), lists: Collection[str] = ()) -> Sent:
    """Return the request's form.

    Args:
        fields: Names that may come once, besides the hidden ones.
        lists: Names that may come more than once.

    Raises:
        BadFieldError: Something else came, or a hidden field is missing or wrong.
    """
    form = request.form
    for name in (*form, *request.files):
        if name not in _HIDDEN and name not in fields and name not in lists:
            raise BadFieldError(name[:64], "is no field of this form")
    typed = {name: _once(name) for name in fields}
    return Sent(
        typed=MappingProxyType({name: text for name, text in typed.items() if text}),
        lists=MappingProxyType({name: tuple(form.getlist(name)) for name in lists}),
        revision=int(_hidden("revision", _REVISION)),
        key=_hidden("key", _KEY),
    )


def verb_of(form: Sent) -> wire_admin.Verb:
    """Return what a form about a rollout asks. Raises BadFieldError."""
    said: dict[str, object] = {"reason": form.get("reason")}
    said |= {name: form.get(name) for name in ("ring", "replacement") if form.get(name)}
    if form.get("override"):
        said["override"] = True
    if form.lists.get("waive"):
        days = form.get("waive_days") or str(LONGEST_WAIVER_DAYS)
        said |= {"waive": form.lists["waive"], "waive_seconds": days_of(days) * 86_400}
    return as_json(said, wire_admin.Verb)


def as_json(said: Mapping[str, object], body: type[T]) -> T:
    """Return what *said* is as a body of the API. Raises BadFieldError, in words for people."""
    return read_as(said, lambda data: wire_admin.parse(data, body))


def read_as(said: Mapping[str, object], parse: Callable[[bytes], T]) -> T:
    """Return what *parse*, which reads the API's bodies, makes of *said*; else see ``as_json``."""
    try:
        return parse(wire.render(said))
    except BadFieldError as error:
        name = re.split(r"[.\[]", error.field, maxsplit=1)[0]
        if name not in _RULES:
            raise
        raise BadFieldError(name, _RULES[name]) from error


def check_reason(form: Sent) -> None:
    """Return if the form says why. Raises BadFieldError."""
    if not form.get("reason").strip():
        raise BadFieldError("reason", "say why: it goes to the audit log, and to whoever is told")


def check_typed_version(form: Sent, version: str) -> None:
    """Return if somebody typed *version*, and so knows what this is about. Raises BadFieldError."""
    typed = form.get("confirm").strip()
    if typed != version:
        told = f"this is about {version}, not {typed}" if typed else f"type {version}"
        raise BadFieldError("confirm", told)


def _once(name: str) -> str:
    values = request.form.getlist(name)
    if len(values) > 1:
        raise BadFieldError(name, "came more than once")
    # Browsers end the lines of what was typed as HTTP does.
    return values[0].replace("\r\n", "\n") if values else ""


def _hidden(name: str, shape: re.Pattern[str]) -> str:
    text = _once(name)
    if not shape.fullmatch(text):
        raise BadFieldError(name, "is not what the page put there: open the page again")
    return text


def days_of(text: str) -> int:
    """Return for how many days a waiver is to last. Raises BadFieldError."""
    if not _DAYS.fullmatch(text) or not 1 <= int(text) <= LONGEST_WAIVER_DAYS:
        raise BadFieldError("waive_days", f"a number of days from 1 to {LONGEST_WAIVER_DAYS}")
    return int(text)
