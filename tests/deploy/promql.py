"""What a PromQL expression speaks of, without evaluating it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^<>=,:@])
    | (?P<bracket>[()\[\]{}])
    )""",
    re.VERBOSE,
)
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_SELECTOR: Final = re.compile(r"(serinus_\w+)\s*(?:\{([^}]*)\})?")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric, and which of its series."""

    metric: str
    matchers: tuple[Matcher, ...]


def check(expression: str) -> None:
    """Raise ValueError unless *expression* is made of tokens, with brackets in pairs."""
    open_brackets: list[str] = []
    place, rest = 0, expression.rstrip()
    while place < len(rest):
        token = _TOKEN.match(rest, place)
        if token is None:
            raise ValueError(f"no token at {rest[place:]!r}")
        place = token.end()
        bracket = token["bracket"]
        if bracket in _PAIRS:
            if not open_brackets or open_brackets.pop() != _PAIRS[bracket]:
                raise ValueError(f"{bracket} closes nothing in {expression!r}")
        elif bracket:
            open_brackets.append(bracket)
    if open_brackets:
        raise ValueError(f"{open_brackets[-1]} is not closed in {expression!r}")


def selectors(expression: str) -> Iterator[Selector]:
    """Yield the metrics of ours that *expression* reads."""
    for metric, inside in _SELECTOR.findall(expression):
        yield Selector(metric, tuple(Matcher(*found) for found in _MATCHER.findall(inside)))


def grouped_by(expression: str) -> set[str]:
    """Return the labels that *expression* groups or joins by."""
    return {
        label.strip()
        for labels in _GROUPING.findall(expression)
        for label in labels.split(",")
        if label.strip()
    }
