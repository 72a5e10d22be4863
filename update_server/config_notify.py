"""Targets of messages to people, read from the ``[[notify]]`` tables of ``serinus.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from update_server.evidence.toml_lines import line_of, lines_of
from update_server.notify.settings import TargetSettings
from update_server.service.notices.deliver import Events

MOST_TARGETS: Final = 20
"""Each has a thread of its own."""

_KINDS: Final = ("webhook", "slack", "teams", "smtp")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAILBOX: Final = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")
_TEXTS: Final = frozenset(
    {"name", "kind", "url", "url_file", "events", "escalate_to", "sender", "user", "password_file"}
)
_LISTS: Final = frozenset({"secret_files", "apps", "allow_private", "recipients"})
_SCHEMES: Final = {"smtp": ("smtp://", "smtps://")}
_MOST_SECRETS: Final = 2


class NotifyError(ValueError):
    """A setting is wrong. The text says on which line, which one, and what is allowed."""


def read_targets(
    document: Mapping[str, Any], text: str, folder: Path
) -> tuple[TargetSettings, ...]:
    """Return the targets in *document*, which is *text* parsed; files are relative to *folder*.

    Raises:
        NotifyError: A setting is wrong or unknown.
    """
    tables = document.get("notify", [])
    lines = lines_of(text)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise NotifyError(f"line {line_of(lines, ('notify',))}: notify must be [[notify]] tables")
    if len(tables) > MOST_TARGETS:
        raise NotifyError(f"there are {len(tables)} [[notify]] tables, of at most {MOST_TARGETS}")
    found: list[TargetSettings] = []
    for number, table in enumerate(tables):
        reader = _Reader(lines, number, table, folder)
        found.append(reader.target([each.name for each in found]))
    names = {each.name for each in found}
    for number, target in enumerate(found):
        if target.escalate_to and target.escalate_to not in names - {target.name}:
            reader = _Reader(lines, number, tables[number], folder)
            reader.refuse("escalate_to", "must name another target", target.escalate_to)
    return tuple(found)


class _Reader:
    """One table, and where it stands."""

    def __init__(
        self, lines: Mapping[Any, int], number: int, table: Mapping[str, Any], folder: Path
    ) -> None:
        self._lines = lines
        self._number = number
        self._table = table
        self._folder = folder

    def target(self, taken: Sequence[str]) -> TargetSettings:
        """Return what the table says. Raises NotifyError."""
        for name, value in self._table.items():
            self._check_type(name, value)
        target = TargetSettings(
            name=self._text("name"),
            kind=self._text("kind"),
            url=self._text("url"),
            url_file=self._file("url_file"),
            secret_files=tuple(self._folder / each for each in self._list("secret_files")),
            events=self._text("events") or Events.ALL.value,
            apps=self._list("apps"),
            escalate_to=self._text("escalate_to"),
            allow_private=self._list("allow_private"),
            sender=self._text("sender"),
            recipients=self._list("recipients"),
            user=self._text("user"),
            password_file=self._file("password_file"),
        )
        self._check(target, taken)
        return target

    def refuse(self, name: str, must: str, value: object = None) -> NoReturn:
        """Raise NotifyError about the setting *name*; secrets are not among the values shown."""
        line = line_of(self._lines, ("notify", self._number, name))
        known = self._table.get("name")
        which = f"{self._number + 1} ({known!r})" if isinstance(known, str) else self._number + 1
        found = "" if value is None else f", not {value!r}"
        raise NotifyError(f"line {line}: [[notify]] {which}: {name} {must}{found}")

    def _check_type(self, name: str, value: object) -> None:
        if name in _TEXTS:
            if not isinstance(value, str) or not value:
                self.refuse(name, "must be text in quotes")
        elif name in _LISTS:
            if not isinstance(value, list) or not all(isinstance(e, str) and e for e in value):
                self.refuse(name, "must be a list of texts in quotes")
        else:
            self.refuse(name, f"is no setting; there are {', '.join(sorted(_TEXTS | _LISTS))}")

    def _check(self, target: TargetSettings, taken: Sequence[str]) -> None:
        if not _NAME.fullmatch(target.name):
            self.refuse("name", "must be letters, digits, dots and dashes", target.name)
        if target.name in taken:
            self.refuse("name", "must be another one than that of a table before", target.name)
        if target.kind not in _KINDS:
            self.refuse("kind", f"must be one of {', '.join(_KINDS)}", target.kind)
        if target.events not in set(Events):
            self.refuse("events", f"must be one of {', '.join(Events)}", target.events)
        self._check_address(target)
        if target.kind == "webhook":
            if not 1 <= len(target.secret_files) <= _MOST_SECRETS:
                self.refuse("secret_files", "must name the file of the secret, or two of them")
        elif target.secret_files:
            self.refuse("secret_files", "is for webhooks only")
        self._check_mail(target)

    def _check_address(self, target: TargetSettings) -> None:
        if bool(target.url) == (target.url_file is not None):
            self.refuse("url", "or url_file must be there, and not both")
        if target.url and target.kind in {"slack", "teams"}:
            self.refuse("url", "is a secret: put it into a file, and name that as url_file")
        schemes = _SCHEMES.get(target.kind, ("https://", "http://"))
        if target.url and not target.url.startswith(schemes):
            self.refuse("url", f"must begin with {' or '.join(schemes)}")

    def _check_mail(self, target: TargetSettings) -> None:
        if target.kind == "smtp":
            if not _MAILBOX.fullmatch(target.sender):
                self.refuse("sender", "must be a mail address", target.sender)
            if not target.recipients or not all(map(_MAILBOX.fullmatch, target.recipients)):
                self.refuse("recipients", "must be mail addresses", list(target.recipients))
            if bool(target.user) != (target.password_file is not None):
                self.refuse("user", "and password_file go together")
            return
        for name in ("sender", "recipients", "user", "password_file"):
            if name in self._table:
                self.refuse(name, "is for smtp only")

    def _text(self, name: str) -> str:
        return str(self._table.get(name, ""))

    def _list(self, name: str) -> tuple[str, ...]:
        return tuple(self._table.get(name, ()))

    def _file(self, name: str) -> Path | None:
        return self._folder / self._table[name] if name in self._table else None
