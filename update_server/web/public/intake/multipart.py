"""Forms with a file, as crash handlers send them (``multipart/form-data``), within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from update_server.web.errors import MalformedError, TooLargeError

MAX_PARTS: Final = 100
MAX_FIELD_BYTES: Final = 16 * 1024
# What may wait for the end of a part's header; a file's bytes go on at once.
_BUFFER_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_FIRST_LINE: Final = re.compile(rb"\s*--([\x21-\x7e]{1,200})\r?\n")
_BOUNDARY: Final = re.compile(rb"[\x20-\x7e]{0,199}[\x21-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields and files of a form; of two of one name the first."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]


def parse_form(data: bytes, content_type: str, wanted: Mapping[str, int]) -> Form:
    """Return the form in *data*, of its files those *wanted*, by their names and most bytes.

    Where *content_type* does not say it, the boundary is taken from the first line.

    Raises:
        MalformedError: It is no form, or does not end as one.
        TooLargeError: It has too many parts, or a part has too many bytes.
    """
    decoder = MultipartDecoder(
        _boundary(data, content_type), max_form_memory_size=_BUFFER_BYTES, max_parts=MAX_PARTS
    )
    parts = _Parts(wanted)
    view = memoryview(data)
    try:
        for begin in range(0, len(view), _CHUNK_BYTES):
            decoder.receive_data(bytes(view[begin : begin + _CHUNK_BYTES]))
            if _drain(decoder, parts):
                return parts.form()
        decoder.receive_data(None)
        _drain(decoder, parts)
    except RequestEntityTooLarge as error:
        raise TooLargeError(MAX_PARTS, "parts") from error
    except ValueError as error:
        raise MalformedError("the body is no whole multipart form") from error
    return parts.form()


def _drain(decoder: MultipartDecoder, parts: _Parts) -> bool:
    """Take what can be told by now; return whether the form has ended."""
    while not isinstance(event := decoder.next_event(), NeedData):
        if isinstance(event, Epilogue):
            return True
        if isinstance(event, Field | File):
            parts.begin(event.name, is_file=isinstance(event, File))
        elif isinstance(event, Data):
            parts.add(event.data, is_last=not event.more_data)
    return False


class _Parts:
    """What was read of a form so far."""

    def __init__(self, wanted: Mapping[str, int]) -> None:
        self._wanted = wanted
        self._fields: dict[str, str] = {}
        self._files: dict[str, bytes] = {}
        self._part = BytesIO()
        self._name = ""
        self._is_file = False
        self._limit: int | None = None  # None: the part is not kept

    def begin(self, name: str | None, *, is_file: bool) -> None:
        """Begin a part. Only what is kept is put together."""
        self._part = BytesIO()
        self._name = name or ""
        self._is_file = is_file
        self._limit = self._wanted.get(self._name) if is_file else MAX_FIELD_BYTES

    def add(self, data: bytes, *, is_last: bool) -> None:
        """Go on with the part."""
        if self._limit is None:
            return
        if self._part.tell() + len(data) > self._limit:
            raise TooLargeError(self._limit, "bytes in one part")
        self._part.write(data)
        if is_last:
            whole = self._part.getvalue()
            self._part = BytesIO()
            if self._is_file:
                self._files.setdefault(self._name, whole)
            else:
                self._fields.setdefault(self._name, whole.decode(errors="replace"))

    def form(self) -> Form:
        """Return what was read."""
        return Form(fields=self._fields, files=self._files)


def _boundary(data: bytes, content_type: str) -> bytes:
    told = parse_options_header(content_type)[1].get("boundary", "")
    boundary = told.encode("ascii", "replace")
    if _BOUNDARY.fullmatch(boundary) and data[:_BUFFER_BYTES].find(b"--" + boundary) >= 0:
        return boundary
    found = _FIRST_LINE.match(data)
    if found is None:
        raise MalformedError("the body is no multipart form")
    return found[1]
