"""Typed reading of a JSON object: each method returns one field or raises DocumentError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from packaging.version import Version

from rollout.errors import BadNameError, DocumentError, InvalidVersionError
from rollout.model import FULL_EXPOSURE_BP
from rollout.strict_json import MAX_INTEGER
from rollout.versions import parse_canonical_version

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fields:
    """The fields of one JSON object at the path ``where`` of a document."""

    def __init__(self, value: Any, where: str = "") -> None:
        if not isinstance(value, dict):
            raise DocumentError("not an object", where)
        self._value: Mapping[str, Any] = value
        self.where = where

    def refuse(self, name: str, detail: str) -> DocumentError:
        """Return the error that blames the field *name*."""
        return DocumentError(detail, self.path(name))

    def path(self, name: str) -> str:
        """Return the field's path in the document."""
        return f"{self.where}.{name}" if self.where else name

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields that the object has."""
        return tuple(self._value)

    def keys(self, check: Callable[[str], T]) -> tuple[T, ...]:
        """Return the names of all fields, each as *check* returns it."""
        return tuple(_checked(name, self.path(name), check) for name in self._value)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return the field's value, of whatever type."""
        if name not in self._value:
            raise self.refuse(name, "missing")
        return self._value[name]

    def text(self, name: str, *, pattern: re.Pattern[str] | None = None) -> str:
        """Return a string, which must match *pattern* from end to end."""
        value = _string(self.raw(name), self.path(name))
        if pattern is not None and pattern.fullmatch(value) is None:
            raise self.refuse(name, "not of the right form")
        return value

    def digest(self, name: str) -> str:
        """Return 64 lower-case hexadecimal digits."""
        return self.text(name, pattern=_SHA256)

    def integer(self, name: str, *, lowest: int = 0, highest: int = MAX_INTEGER) -> int:
        """Return a whole number in a range."""
        value = self.raw(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, "not a whole number")
        if not lowest <= value <= highest:
            raise self.refuse(name, f"outside {lowest}..{highest}")
        return value

    def basis_points(self, name: str) -> int:
        """Return a share, 0..10,000."""
        return self.integer(name, highest=FULL_EXPOSURE_BP)

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self.raw(name)
        if not isinstance(value, bool):
            raise self.refuse(name, "not true or false")
        return value

    def time(self, name: str) -> datetime:
        """Return an instant, RFC 3339 in whole seconds with Z."""
        text = self.text(name, pattern=_TIME)
        try:
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError as error:
            raise self.refuse(name, "no such instant") from error

    def version(self, name: str) -> Version:
        """Return a version, spelled canonically."""
        return self.checked(name, parse_canonical_version)

    def choice(self, name: str, choices: type[E]) -> E:
        """Return one of the words of *choices*."""
        return self.checked(name, choices)

    def checked(self, name: str, check: Callable[[str], T]) -> T:
        """Return what *check* makes of a string; its refusal becomes a DocumentError."""
        return _checked(self.text(name), self.path(name), check)

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """Return what *read* (a method of this object) returns; None if absent or null."""
        return read(name) if self.has(name) else None

    def object(self, name: str) -> Fields:
        """Return the fields of an object."""
        return Fields(self.raw(name), self.path(name))

    def items(self, name: str, *, at_most: int) -> tuple[tuple[str, Any], ...]:
        """Return a list's items, of whatever type, each with its path in the document."""
        value = self.raw(name)
        if not isinstance(value, list):
            raise self.refuse(name, "not a list")
        if len(value) > at_most:
            raise self.refuse(name, f"over {at_most} items")
        return tuple((f"{self.path(name)}[{index}]", item) for index, item in enumerate(value))

    def objects(self, name: str, read: Callable[[Fields], T], *, at_most: int) -> tuple[T, ...]:
        """Return what *read* makes of the fields of each object in a list."""
        return tuple(read(Fields(item, where)) for where, item in self.items(name, at_most=at_most))

    def texts(self, name: str, check: Callable[[str], T], *, at_most: int) -> tuple[T, ...]:
        """Return a list of strings, each as *check* returns it; none may stand there twice."""
        items = self.items(name, at_most=at_most)
        values = tuple(_checked(_string(item, where), where, check) for where, item in items)
        check_unique(self, name, values)
        return values


def check_schema(fields: Fields, schema: int = 1) -> None:
    """Refuse a document of a schema that this code does not know."""
    if fields.integer("schema") != schema:
        raise fields.refuse("schema", f"only schema {schema} is known")


def check_unique(fields: Fields, name: str, values: tuple[Any, ...]) -> None:
    """Refuse a list that says one thing twice."""
    if len(set(values)) != len(values):
        raise fields.refuse(name, "says one thing twice")


def render_time(at: datetime) -> str:
    """Return an instant as RFC 3339 UTC; parts of a second are cut off."""
    whole = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{whole}Z"


def any_text(text: str) -> str:
    """Return *text*: for lists of strings without a rule of their own."""
    return text


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DocumentError("not a string", where)
    return value


def _checked(text: str, where: str, check: Callable[[str], T]) -> T:
    try:
        return check(text)
    except (BadNameError, InvalidVersionError, ValueError) as error:
        raise DocumentError(str(error), where) from error
