"""Typed reading of settings: each method returns one value or says what is wrong, and where.

The same settings come in two dialects. *Written* is what people write in a ladder file, with
durations as text (``timeout = "7 d"``); the other is what programs send and store, with
durations as numbers (``"timeout_seconds": 604800.0``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from update_server.evidence.toml_lines import Path

E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|min|h|d)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_SHOWN_CHARACTERS = 40


class TermsError(ValueError):
    """A setting is refused. ``path`` is where it stands; ``problem`` says what is allowed."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{self.where}: {problem}" if path else problem)

    @property
    def where(self) -> str:
        """The path as text, such as ``gates[1].margin``."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


class Table:
    """The settings in one table; ``path`` is where it stands."""

    def __init__(self, value: Any, path: Path = (), *, written: bool) -> None:
        if not isinstance(value, Mapping):
            raise TermsError(path, f"must be a table, not {shown(value)}")
        self._value: Mapping[str, Any] = value
        self._asked: list[str] = []
        self.path = path
        self.written = written

    def refuse(self, name: str, problem: str) -> TermsError:
        """Return the error that blames the setting *name*."""
        return TermsError((*self.path, name), problem)

    def has(self, name: str) -> bool:
        """Whether the setting is there, and not null."""
        self._asked.append(name)
        return self._value.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return a setting of whatever type; it must be there."""
        if not self.has(name):
            raise self.refuse(name, "is missing")
        return self._value[name]

    def number(self, name: str, default: float | None, low: float, high: float) -> float:
        """Return a number from *low* to *high*; without a *default* it must be there."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if not _is_number(value) or not low <= value <= high:
            raise self.refuse(
                name, f"must be a number from {low:g} to {high:g}, not {shown(value)}"
            )
        return float(value)

    def whole(
        self, name: str, default: int | None, low: int, high: int, *, because: str = ""
    ) -> int:
        """Return a whole number from *low* to *high*; without a *default* it must be there."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if type(value) is not int or not low <= value <= high:
            text = f"must be a whole number from {low} to {high}, not {shown(value)}"
            raise self.refuse(name, f"{text}: {because}" if because else text)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        if not self.has(name):
            return default
        value = self.raw(name)
        if not isinstance(value, bool):
            raise self.refuse(name, f"must be true or false, not {shown(value)}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a *default* it must be there."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if not isinstance(value, str):
            raise self.refuse(name, f"must be text in quotes, not {shown(value)}")
        return value

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """Return one of the words of *choices*."""
        value = self.text(name, default)
        if value not in choices:
            raise self.refuse(name, f"must be one of {', '.join(choices)}, not {shown(value)}")
        return value

    def one_of(self, name: str, default: float, choices: Sequence[float]) -> float:
        """Return one of the numbers of *choices*."""
        if not self.has(name):
            return default
        value = self.raw(name)
        if not _is_number(value) or value not in choices:
            allowed = ", ".join(f"{choice:g}" for choice in choices)
            raise self.refuse(name, f"must be one of {allowed}, not {shown(value)}")
        return float(value)

    def seconds(self, name: str, default: float | None, low: float, high: float) -> float:
        """Return a duration in seconds; without a *default* it must be there."""
        if not self.written:
            return self.number(f"{name}_seconds", default, low, high)
        if default is not None and not self.has(name):
            return default
        match = _DURATION.fullmatch(self.text(name))
        if match is None:
            examples = 'a number and its unit, such as "90 s", "30 min", "72 h" or "14 d"'
            raise self.refuse(name, f"must be {examples}, not {shown(self.text(name))}")
        value = float(match[1]) * _UNITS[match[2]]
        if not low <= value <= high:
            raise self.refuse(name, f"must be from {low:g} s to {high / 86_400:g} d")
        return value

    def items(self, name: str, at_most: int) -> list[Any]:
        """Return a list of whatever items; empty when it is not there."""
        if not self.has(name):
            return []
        value = self.raw(name)
        if not isinstance(value, list):
            raise self.refuse(name, f"must be a list, not {shown(value)}")
        if len(value) > at_most:
            raise self.refuse(name, f"has {len(value)} items; at most {at_most} are allowed")
        return value

    def words(self, name: str, choices: type[E]) -> list[E]:
        """Return a list of words of *choices*, none of them twice."""
        found: list[E] = []
        for index, item in enumerate(self.items(name, len(choices) + 1)):
            path = (*self.path, name, index)
            if item not in tuple(choices):
                raise TermsError(path, f"must be one of {', '.join(choices)}, not {shown(item)}")
            if item in found:
                raise TermsError(path, f"{item} stands there twice")
            found.append(choices(item))
        return found

    def table(self, name: str) -> Table:
        """Return a table in this one; an empty one when it is not there."""
        value = self.raw(name) if self.has(name) else {}
        return Table(value, (*self.path, name), written=self.written)

    def tables(self, name: str, at_most: int) -> list[Table]:
        """Return the tables in a list; none when it is not there."""
        return [
            Table(item, (*self.path, name, index), written=self.written)
            for index, item in enumerate(self.items(name, at_most))
        ]

    def end(self) -> None:
        """Refuse what nobody asked for: a misspelt limit would be none."""
        for name in self._value:
            if name not in self._asked:
                close = get_close_matches(str(name), self._asked, 1)
                known = close or sorted(set(self._asked))
                ask = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise self.refuse(str(name), f"no such setting; {ask}")


def shown(value: Any) -> str:
    """Return *value* for a message: short."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
