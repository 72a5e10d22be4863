"""Ladder files, read where a person wrote them (docs/ladder.md)."""

from __future__ import annotations

from pathlib import Path

from update_server.cli.errors import UsageError
from update_server.evidence.ladder import LadderError, Terms, parse_json_terms, parse_terms


def read_terms(path: Path) -> Terms:
    """Return what a ladder file says.

    Raises:
        UsageError: It breaks a rule; the text names file, line, setting and rule.
    """
    parse = parse_json_terms if path.suffix == ".json" else parse_terms
    try:
        return parse(path.read_text(encoding="utf-8"))
    except LadderError as error:
        place = f"{path}:{error.line}" if error.line is not None else str(path)
        told = f"{error.path}: {error.problem}" if error.path else error.problem
        data = {"line": error.line, "field": error.path}
        raise UsageError("bad_ladder", f"{place}: {told}", data=data) from error
    except ValueError as error:
        raise UsageError("bad_ladder", f"{path}: {error}") from error
