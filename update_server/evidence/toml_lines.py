"""On which line of a TOML text each key stands: ``tomllib`` does not tell.

The text is one that ``tomllib`` took: what is wrong with it as TOML, that has said already.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import NoReturn

Path = tuple[str | int, ...]
"""Where a value stands: keys of tables and indices of arrays, from the top."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_OTHER_VALUE = re.compile(r"[^,\]}#\n]+")  # numbers, dates, true and false


def lines_of(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, of each key, table and item of an array in *text*."""
    return _Scanner(text).scan()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of *path*; of what it would stand in where there is no such key."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = (0, 1)  # the line of a place that was asked for before
        self._tables: dict[Path, int] = {}  # how many tables each array of tables has
        self._lines: dict[Path, int] = {}

    def scan(self) -> Mapping[Path, int]:
        """Go through the statements: headers of tables, and keys with their values."""
        table: Path = ()
        while self._next():
            if self._text.startswith("[[", self._at):
                table = self._header(2)
                count = self._tables.get(table, 0)
                self._tables[table] = count + 1
                self._lines.setdefault(table, self._line())
                table = (*table, count)
                self._lines[table] = self._line()
            elif self._text[self._at] == "[":
                table = self._header(1)
                self._lines[table] = self._line()
            else:
                self._pair(table)
        return self._lines

    def _header(self, brackets: int) -> Path:
        """Take ``[a.b]`` or ``[[a.b]]``; arrays of tables on the way mean their last table."""
        self._at += brackets
        keys = self._keys()
        self._at += brackets
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return (*path, keys[-1])

    def _pair(self, table: Path) -> None:
        """Take ``key = value``; a dotted key says where each of its parts stands."""
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at += 1  # =
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._next()
            quoted = _STRING.match(self._text, self._at)
            match = quoted or _match(_BARE_KEY, self._text, self._at)
            self._at = match.end()
            keys.append(tomllib.loads(f"key = {match[0]}")["key"] if quoted else match[0])
            self._next()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: Path) -> None:
        self._next()
        opening = self._text[self._at]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            string = _STRING.match(self._text, self._at)
            self._at = (string or _match(_OTHER_VALUE, self._text, self._at)).end()

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next() and self._text[self._at] != "]":
            self._lines[*path, index] = self._line()
            self._value((*path, index))
            index += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._next() and self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._next()
        self._at += self._text[self._at] == ","

    def _next(self) -> bool:
        """Pass over what means nothing; tell whether anything is left."""
        self._at = _match(_BLANK, self._text, self._at).end()
        return self._at < len(self._text)

    def _line(self) -> int:
        at, line = self._counted
        self._counted = (self._at, line + self._text.count("\n", at, self._at))
        return self._counted[1]


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    return pattern.match(text, at) or _no_toml(at)


def _no_toml(at: int) -> NoReturn:
    raise ValueError(f"no TOML at {at}")
