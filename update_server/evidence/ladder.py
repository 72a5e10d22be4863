"""A ladder file: the steps of one rollout, and what it is judged by. See docs/ladder.md.

Everything in it may be left out: without steps the signed policy's ramp holds, and without
a setting the published one.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from typing import Any

from rollout.model import Step
from update_server.evidence.reading import Table, TermsError
from update_server.evidence.settings import Settings
from update_server.evidence.steps import read_steps, spread_ramp
from update_server.evidence.terms import read_settings, settings_from_json, settings_to_json
from update_server.evidence.toml_lines import line_of, lines_of

__all__ = [
    "LadderError",
    "Terms",
    "TermsError",
    "parse_json_terms",
    "parse_terms",
    "settings_from_json",
    "settings_to_json",
    "spread_ramp",
]

_AT_LINE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)\Z")


class LadderError(ValueError):
    """A ladder file is refused.

    ``path`` is what is wrong, such as ``step[2].exposure_bp``, empty where the file is not even
    TOML; ``line`` counts from 1, None in JSON; ``problem`` says what is wrong and what to do.
    """

    def __init__(self, path: str, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        self.problem = problem
        told = f"{path}: {problem}" if path else problem
        super().__init__(told if line is None else f"line {line}: {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a ladder file says. ``steps`` None: those of the signed policy's ramp."""

    steps: tuple[Step, ...] | None
    settings: Settings


def parse_terms(text: str) -> Terms:
    """Return what a ladder file in TOML says.

    Raises:
        LadderError: It is no TOML, or a value in it is wrong or not known.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(text, str(error)) from error
    except RecursionError as error:
        raise LadderError("", 1, "is nested too deep") from error
    try:
        return _terms(document)
    except TermsError as error:
        # CR LF or LF: both end in what lines are counted by.
        line = line_of(lines_of(text), error.path)
        raise LadderError(error.where, line, error.problem) from error


def parse_json_terms(text: str) -> Terms:
    """Return what a ladder file in JSON says: the same, or a list of nothing but steps.

    Raises:
        LadderError: As ``parse_terms``; ``line`` is known only where it is no JSON.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise LadderError("", error.lineno, error.msg) from error
    except RecursionError as error:
        raise LadderError("", None, "is nested too deep") from error
    try:
        return _terms({"step": document} if isinstance(document, list) else document)
    except TermsError as error:
        raise LadderError(error.where, None, error.problem) from error


def _terms(document: Any) -> Terms:
    table = Table(document, written=True)
    settings = read_settings(table)
    steps = None
    if table.has("step"):
        steps, gates = read_steps(table, settings)
        settings = replace(settings, gates=gates)
    table.end()
    if not document:
        raise TermsError((), "says nothing: it has neither [[step]] nor a setting")
    return Terms(steps=steps, settings=settings)


def _no_toml(text: str, told: str) -> LadderError:
    match = _AT_LINE.search(told)
    line = text.count("\n") + 1
    if match is not None and match[1] is not None:
        line = int(match[1])
    return LadderError("", line, _AT_LINE.sub("", told))
