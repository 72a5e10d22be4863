"""Where each key of a TOML text stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.evidence.toml_lines import Path, line_of, lines_of

TEXT = '''\
# a file
alpha = 0.01  # with a remark

"quoted" = "a # that is none, and ] and }"
'literal' = 'C:\\'
"esc\\u0061ped" = 1
a.b . "c d" = 1
list = ["one", # the first
  "two",

  ["three"], { name = "four", in = { deep = true } },
]
text = """
[not.a.table]
key = 1 \\""" still
"""
raw = \'\'\'
[[nor.this]]
\'\'\'
five = """five""\"""
empty = []
none = {}
date = 1979-05-27T07:32:00Z
[table]
key = +1.5e3
[table.below]
key = true
[[rows]]
name = "first"
[rows.inner]
deep = 1
[[rows]]
[[rows.cells]]
v = 1
[[rows.cells]]
v = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("alpha",), 2),
        (("quoted",), 4),
        (("literal",), 5),
        (("escaped",), 6),
        (("a",), 7),
        (("a", "b"), 7),
        (("a", "b", "c d"), 7),
        (("list",), 8),
        (("list", 0), 8),
        (("list", 1), 9),
        (("list", 2), 11),
        (("list", 2, 0), 11),
        (("list", 3, "name"), 11),
        (("list", 3, "in", "deep"), 11),
        (("text",), 13),
        (("raw",), 17),
        (("five",), 20),
        (("empty",), 21),
        (("none",), 22),
        (("date",), 23),
        (("table",), 24),
        (("table", "key"), 25),
        (("table", "below"), 26),
        (("table", "below", "key"), 27),
        (("rows",), 28),
        (("rows", 0), 28),
        (("rows", 0, "name"), 29),
        (("rows", 0, "inner"), 30),
        (("rows", 0, "inner", "deep"), 31),
        (("rows", 1), 32),
        (("rows", 1, "cells", 0), 33),
        (("rows", 1, "cells", 0, "v"), 34),
        (("rows", 1, "cells", 1, "v"), 36),
    ],
)
def test_each_key_is_found_on_its_line(path: Path, line: int) -> None:
    assert lines_of(TEXT)[path] == line


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths_of(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths_of(item, (*path, index))


def test_everything_that_tomllib_reads_has_a_line_and_nothing_else_has() -> None:
    assert set(lines_of(TEXT)) == set(paths_of(tomllib.loads(TEXT)))


def test_lines_count_alike_however_they_end() -> None:
    assert lines_of(TEXT.replace("\n", "\r\n")) == lines_of(TEXT)


def test_what_is_missing_stands_where_its_table_does() -> None:
    lines = lines_of(TEXT)

    assert line_of(lines, ("rows", 1, "name")) == 32
    assert line_of(lines, ("rows", 0, "inner", "x", "y")) == 30
    assert line_of(lines, ("nothing",)) == 1
    assert line_of(lines, ()) == 1


def test_no_toml_ends_in_an_error() -> None:
    with pytest.raises(ValueError, match="no TOML at 0"):
        lines_of("= 1")


KEYS = st.text("ab-_ .#\"'\\[]={}\n", min_size=1, max_size=4)
TEXTS = st.text("ab ,#\"'\\[]={}\n\u00e4", max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def rendered(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {rendered(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + "".join(f"\n  {rendered(item)}," for item in value) + " # [\n]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


@given(st.dictionaries(KEYS, VALUES.filter(lambda value: not isinstance(value, dict)), max_size=4))
def test_any_text_is_scanned_as_tomllib_reads_it(document: dict[str, Any]) -> None:
    text = "".join(f"{quoted(key)} = {rendered(value)}\n" for key, value in document.items())

    assert set(lines_of(text)) == set(paths_of(tomllib.loads(text)))
