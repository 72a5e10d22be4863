"""Bodies of reports: read to their end, unpacked within bounds.

1. What comes over the wire goes to a file without a name once it is large, so that a slow sender
   holds no memory.
2. It is unpacked when it is complete. What is small is unpacked at once; large ones take turns, so
   that one process never holds two of them.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Final
from wsgiref.types import WSGIEnvironment

from werkzeug.wsgi import get_input_stream

from update_server.service.ports import UnavailableError
from update_server.web.errors import MalformedError, TooLargeError
from update_server.web.public.intake.encodings import STEP_BYTES, decoder_for

_READ_BYTES: Final = 16 * 1024
_FEED_BYTES: Final = 1024  # so little that a bomb shows at once: 1 KiB may become 100
_IN_MEMORY_BYTES: Final = 64 * 1024
_SMALL_BYTES: Final = 128 * 1024
_MAX_WAITING: Final = 32  # of 64 threads: check-ins need some, too
_MAX_WAITING_OF_NETWORK: Final = 8  # or one network would turn away all others
_WAIT_SECONDS: Final = 20.0

MAX_RATIO: Final = 100
"""How much larger than what came a body may become; asked of what is beyond the first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come, and how much may become of it."""

    packed_bytes: int
    unpacked_bytes: int


ENVELOPE: Final = Limits(packed_bytes=1 << 20, unpacked_bytes=8 << 20)
DUMP: Final = Limits(packed_bytes=8 << 20, unpacked_bytes=32 << 20)
"""Also of an envelope that holds a minidump."""

MINIDUMP_TYPE: Final = b"event.minidump"


class Turns:
    """Lets the large bodies of one process be worked on one after the other."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: Counter[bytes] = Counter()  # by network
        self._places = threading.Lock()
        # A brotli decoder takes 16 MiB for the first byte, if its sender wants that.
        self._trying = threading.Lock()

    @contextmanager
    def body(
        self, environ: WSGIEnvironment, *, is_form: bool, network: bytes = b""
    ) -> Iterator[bytes]:
        """Give the unpacked body of a request; a large one's turn lasts as long as the block.

        *is_form*: it is a form with a minidump; otherwise an envelope, which may hold one.
        *network*: where it came from, under any name; empty where that is not known.

        Raises:
            TooLargeError, MalformedError: As named.
            UnavailableError: Too many large ones wait already, or there is no room on the disk.
        """
        encoding: str = environ.get("HTTP_CONTENT_ENCODING", "")
        with _received(environ) as packed:
            with self._trying:
                data, is_whole = _unpacked(packed, encoding, _SMALL_BYTES)
            if is_whole:
                yield data
                return
            with self._my_turn(network):
                yield _large(packed, encoding, is_form=is_form)

    @contextmanager
    def _my_turn(self, network: bytes) -> Iterator[None]:
        with self._place(network):
            if not self._turn.acquire(timeout=_WAIT_SECONDS):
                raise UnavailableError("too many large reports at once")
            try:
                yield
            finally:
                self._turn.release()

    @contextmanager
    def _place(self, network: bytes) -> Iterator[None]:
        with self._places:
            is_full = self._waiting.total() >= _MAX_WAITING
            if is_full or (network and self._waiting[network] >= _MAX_WAITING_OF_NETWORK):
                raise UnavailableError("too many large reports at once")
            self._waiting[network] += 1
        try:
            yield
        finally:
            with self._places:
                self._waiting[network] -= 1
                self._waiting = +self._waiting  # names nobody who does not wait


def _large(packed: IO[bytes], encoding: str, *, is_form: bool) -> bytes:
    if not is_form:
        packed_bytes = packed.seek(0, os.SEEK_END)
        data, is_whole = _unpacked(packed, encoding, ENVELOPE.unpacked_bytes)
        if MINIDUMP_TYPE not in data:
            if packed_bytes > ENVELOPE.packed_bytes:
                raise TooLargeError(ENVELOPE.packed_bytes, "bytes")
            if not is_whole:
                raise TooLargeError(ENVELOPE.unpacked_bytes, "unpacked bytes")
        if is_whole:
            return data
        del data
    data, is_whole = _unpacked(packed, encoding, DUMP.unpacked_bytes)
    if not is_whole:
        raise TooLargeError(DUMP.unpacked_bytes, "unpacked bytes")
    return data


def _unpacked(packed: IO[bytes], encoding: str, limit_bytes: int) -> tuple[bytes, bool]:
    """Return the body if it has at most *limit_bytes*, else its beginning; and which of the two."""
    packed.seek(0)
    data = BytesIO()  # gives its value away without a copy
    for piece in _pieces(packed, encoding):
        data.write(piece)
        if data.tell() > limit_bytes:
            return data.getvalue(), False
    return data.getvalue(), True


def _pieces(packed: IO[bytes], encoding: str) -> Iterator[bytes]:
    decoder = decoder_for(encoding)
    taken = given = 0
    while data := packed.read(_FEED_BYTES):
        taken += len(data)
        for piece in decoder.feed(data):
            given += len(piece)
            if given > STEP_BYTES and given > taken * MAX_RATIO:
                raise TooLargeError(MAX_RATIO, "bytes for each that is sent")
            yield piece
    decoder.finish()


@contextmanager
def _received(environ: WSGIEnvironment) -> Iterator[IO[bytes]]:
    """Give what was sent, complete."""
    # Granian ends the stream by itself, also where no length was told (wsgi.input_terminated).
    stream = get_input_stream(environ)
    size = 0
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        try:
            while data := stream.read(_READ_BYTES):
                size += len(data)
                if size > DUMP.packed_bytes:
                    raise TooLargeError(DUMP.packed_bytes, "bytes")
                file.write(data)
        except OSError as error:
            raise UnavailableError("a report cannot be kept") from error
        if size < _told_bytes(environ):
            raise MalformedError("the body ends too early")
        yield file


def _told_bytes(environ: WSGIEnvironment) -> int:
    """Return how many bytes were to come; 0 where only their end says so.

    The web server takes no more than were told. Fewer come from a sender who went away, and a
    report cut short would be another one than the whole, which is sent again.
    """
    told: str = environ.get("CONTENT_LENGTH", "")
    is_told = told.isascii() and told.isdecimal() and "HTTP_TRANSFER_ENCODING" not in environ
    return int(told) if is_told else 0
