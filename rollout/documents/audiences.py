"""Audiences, in documents and in what an operator writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rollout.documents.fields import Fields, any_text
from rollout.errors import DocumentError
from rollout.model import Audience
from rollout.names import check_group, check_platform
from rollout.versions import check_os_comparison

MAX_VALUES = 64

# Each selector with the check of its values. `custom` holds lists by key and stands apart.
_SELECTORS: dict[str, Callable[[str], str]] = {
    "groups": check_group,
    "platform": check_platform,
    "os_version": check_os_comparison,
    "locale": any_text,
    "country": any_text,
}

# What an audience with a selector of a later version is rendered to: again not known.
_UNKNOWN = "unknown"


def parse_audience(value: Any, where: str = "audience") -> Audience:
    """Return the audience that a JSON value says; raise DocumentError if it says none."""
    return read_audience(Fields(value, where))


def read_audience(fields: Fields) -> Audience:
    """Return the audience in *fields*; a selector that is not known is only remembered.

    Raises:
        DocumentError: A selector is no list of proper values, or an empty one: it would
            match nobody, which is hardly meant.
    """
    found = {name: _values(fields, name, check) for name, check in _SELECTORS.items()}
    known = {*_SELECTORS, "custom"}
    return Audience(
        groups=found["groups"],
        platform=found["platform"],
        os_version=found["os_version"],
        locale=found["locale"],
        country=found["country"],
        custom=_custom(fields.object("custom")) if "custom" in fields.names() else None,
        unknown=any(name not in known for name in fields.names()),
    )


def render_audience(audience: Audience) -> dict[str, Any]:
    """Return *audience* as a JSON object."""
    rendered: dict[str, Any] = {
        name: list(values) for name in _SELECTORS if (values := getattr(audience, name)) is not None
    }
    if audience.custom is not None:
        rendered["custom"] = {key: list(values) for key, values in audience.custom.items()}
    if audience.unknown:
        rendered[_UNKNOWN] = []
    return rendered


def _custom(fields: Fields) -> Mapping[str, tuple[str, ...]]:
    if not fields.names():
        raise DocumentError("empty", fields.where)
    return MappingProxyType({key: _some(fields, key, any_text) for key in fields.names()})


def _values(fields: Fields, name: str, check: Callable[[str], str]) -> tuple[str, ...] | None:
    return _some(fields, name, check) if name in fields.names() else None


def _some(fields: Fields, name: str, check: Callable[[str], str]) -> tuple[str, ...]:
    values = fields.texts(name, check, at_most=MAX_VALUES)
    if not values:
        raise fields.refuse(name, "empty")
    return values
