"""docs/ladder.md has every setting, and its examples say what the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rollout.documents import render_ladder
from update_server.cli.policy import STANDARD as POLICY
from update_server.evidence import steps, terms, windows
from update_server.evidence.ladder import parse_terms
from update_server.evidence.reading import Table
from update_server.evidence.settings import STANDARD, Measured, Metric

PAGE = (Path(__file__).parents[2] / "docs" / "ladder.md").read_text(encoding="utf-8")
WEEK, WHOLE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def told(head: str) -> set[str]:
    """Return the names in the tables whose first column is headed *head*."""
    found: set[str] = set()
    for table in re.findall(rf"^\| {re.escape(head)} \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE):
        found |= set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    return found


def asked(read: Any, value: dict[str, Any]) -> set[str]:
    """Return the names that *read* looks for in a table."""
    table = Table(value, written=True)
    read(table)
    return set(table._asked)


def test_every_setting_is_documented_and_no_other() -> None:
    tables = {"metrics", "measured", "gates", "ceilings", "windows"}

    assert told("setting") | tables == asked(terms.read_settings, {})
    assert all(f"`[{name}]`" in PAGE or f"`[[{name}]]`" in PAGE for name in tables)


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("in `[metrics]`", set(Metric)),
        ("in `[[measured]]`", set(Measured.__dataclass_fields__)),
        ("in `[ceilings]`", asked(terms._ceilings, {})),
        ("in `[[gates]]`", {"up_to_bp", "margin", "silence"}),
        ("in `[[windows]]`", asked(windows._written, {})),
        (
            "in `[[step]]`",
            asked(lambda table: steps._step(table, 0), {"ring": "a", "exposure_bp": 1})
            | asked(
                lambda table: steps._step(table, 0),
                {"ring": "a", "exposure_bp": 1, "schedule": "linear", "over": "1 h"},
            ),
        ),
    ],
)
def test_every_key_of_a_table_is_documented_and_no_other(head: str, names: set[str]) -> None:
    assert told(head) == names


def test_the_whole_file_says_what_holds_where_nothing_is_said() -> None:
    whole = parse_terms(WHOLE)

    assert whole.settings == STANDARD
    assert whole.steps is not None
    assert render_ladder(whole.steps) == [
        {"holdback_bp": 0, "approvals": 0, **step} for step in POLICY["ramp"]
    ]


def test_the_whole_file_leaves_nothing_out() -> None:
    document = tomllib.loads(WHOLE)

    assert set(document) == asked(terms.read_settings, {}) | {"step"}
    assert set(document["metrics"]) == told("in `[metrics]`")
    assert set(document["ceilings"]) == told("in `[ceilings]`")
    assert set(document["measured"][0]) == told("in `[[measured]]`")


def test_defaults_in_the_tables_are_those_of_the_whole_file() -> None:
    document = tomllib.loads(WHOLE)
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", PAGE, re.MULTILINE)
    defaults = {name: default for name, default in rows if name in document}

    assert set(defaults) == told("setting")
    for name, default in defaults.items():
        assert tomllib.loads(f"x = {default.strip('`')}")["x"] == document[name]


def test_the_week_is_a_ladder() -> None:
    week = parse_terms(WEEK)

    assert week.steps is not None
    assert [step.exposure_bp for step in week.steps][:3] == [None, 100, 119]
    assert week.settings.gate_for(9_800).margin == 1.5
    assert [window.weekdays for window in week.settings.windows] == [frozenset(range(4))]
