"""The lines of a Sentry envelope: a header, then items of a header and a payload each.

Lengths are hints. JSON is first read as the line that it mostly is, so that a wrong length takes no
other item with it; and a length that does not end where a line ends is passed over. After what
can't be read, reading goes on at the next line that begins an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from update_server.crashes.documents import Document, document_of
from update_server.crashes.errors import BadDocumentError

MAX_ITEMS: Final = 100
MAX_HEADER_BYTES: Final = 8 * 1024

JSON_TYPES: Final = frozenset({"event", "session", "sessions", "client_report"})
"""Items that are read as JSON; of others only the bytes count."""

_NOT_BLANK: Final = re.compile(rb"[^\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One item. ``document`` is what is in the payload of one of ``JSON_TYPES``."""

    header: Document
    type: str
    payload: bytes
    document: Document


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is no item. ``is_rest``: there were too many, and the rest is unread."""

    is_rest: bool = False


def split(data: bytes) -> tuple[Document, Iterator[Part | Unreadable]]:
    """Return the envelope's header, and what comes behind it.

    Raises:
        BadDocumentError: There is no header.
    """
    end = _line_end(data, 0)
    return document_of(data[:end], max_bytes=MAX_HEADER_BYTES), _parts(_Reader(data, end))


def _parts(reader: _Reader) -> Iterator[Part | Unreadable]:
    for _ in range(MAX_ITEMS):
        if not reader.has_more():
            return
        try:
            yield reader.part()
        except BadDocumentError:
            reader.skip_to_object()
            yield Unreadable()
    if reader.has_more():
        yield Unreadable(is_rest=True)


class _Reader:
    """Where in the bytes reading has come to: to the end of a line, or of the last payload."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._tries_lengths = True

    def has_more(self) -> bool:
        found = _NOT_BLANK.search(self._data, self._at)
        if found is None:
            return False
        self._at = found.start()
        return True

    def part(self) -> Part:
        """Return the item whose header begins here.

        Raises:
            BadDocumentError: It can't be read; reading has come to the line's end.
        """
        header = document_of(self._line(), max_bytes=MAX_HEADER_BYTES)
        kind = header.get("type")
        if not isinstance(kind, str):
            raise BadDocumentError("an item has no type")
        begin = min(self._at + 1, len(self._data))
        told_end = _told_end(self._data, begin, header.get("length"))
        if kind in JSON_TYPES:
            document = self._document(begin, told_end)
        else:
            self._at = _line_end(self._data, begin) if told_end is None else told_end
            document = {}
        payload = self._data[begin : self._at]
        return Part(header=header, type=kind, payload=payload, document=document)

    def skip_to_object(self) -> None:
        found = self._data.find(b"\n{", self._at)
        self._at = len(self._data) if found < 0 else found

    def _line(self) -> bytes:
        begin, self._at = self._at, _line_end(self._data, self._at)
        return self._data[begin : self._at]

    def _document(self, begin: int, told_end: int | None) -> Document:
        self._at = _line_end(self._data, begin)
        try:
            return document_of(self._data[begin : self._at])
        except BadDocumentError:
            if told_end is None or told_end <= self._at or not self._tries_lengths:
                raise
        # JSON of several lines. With wrong lengths the same bytes could be decoded again and
        # again: so the first that is wrong is the last that is tried.
        try:
            document = document_of(self._data[begin:told_end])
        except BadDocumentError:
            self._tries_lengths = False
            raise
        self._at = told_end
        return document


def _told_end(data: bytes, begin: int, length: object) -> int | None:
    """Return where a payload ends by its *length*; None where no line ends there."""
    if not isinstance(length, int) or isinstance(length, bool):
        return None
    if not 0 <= length <= len(data) - begin:
        return None
    end = begin + length
    return end if data[end : end + 1] in {b"", b"\n"} else None


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end
