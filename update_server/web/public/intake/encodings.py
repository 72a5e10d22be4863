"""Content encodings, undone step by step: no step gives out more than asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import brotli

from update_server.web.errors import MalformedError

STEP_BYTES: Final = 64 * 1024
"""The most that one step gives out."""

_BROTLI_BYTES: Final = STEP_BYTES // 4  # it goes beyond what it is told, by up to 32 KiB
_GZIP, _ZLIB, _RAW = 31, 15, -15  # what zlib calls window bits also says which format it is
_ZLIB_METHOD: Final = 8
_ZLIB_CHECK: Final = 31


class Decoder(Protocol):
    """Undoes one encoding of one body."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...  # pieces of at most STEP_BYTES
    def finish(self) -> None: ...  # MalformedError: it ended too early


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Do nothing: any end is an end."""


class _Zlib:
    """gzip; or deflate, which is zlib's format by the book, and raw by habit of some."""

    def __init__(self, bits: int | None) -> None:
        self._inner = None if bits is None else zlib.decompressobj(bits)
        self._head = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inner is None:
            self._head += data
            if len(self._head) < 2:  # noqa: PLR2004 - the length of zlib's header
                return
            data, self._inner = self._head, zlib.decompressobj(_deflate_bits(self._head))
        try:
            while data:
                piece = self._inner.decompress(data, STEP_BYTES)
                data = self._inner.unconsumed_tail
                if piece:
                    yield piece
                if self._inner.eof:
                    break
        except zlib.error as error:
            raise _undecodable() from error
        if self._inner.unused_data:
            raise MalformedError("bytes follow the end of the compressed body")

    def finish(self) -> None:
        if self._inner is None or not self._inner.eof:
            raise _cut_off()


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece = self._inner.process(data, output_buffer_limit=_BROTLI_BYTES)
                if piece:
                    yield piece
                # It takes in more than it gives out, and does not say so before it is asked.
                elif self._inner.can_accept_more_data():
                    return
                data = b""
        except brotli.error as error:
            raise _undecodable() from error

    def finish(self) -> None:
        if not self._inner.is_finished():
            raise _cut_off()


_DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(None),
    "br": _Brotli,
}


def decoder_for(encoding: str) -> Decoder:
    """Return what undoes the Content-Encoding *encoding*.

    Raises:
        MalformedError: It is none of identity, gzip, deflate and br.
    """
    make = _DECODERS.get(encoding.strip().lower())
    if make is None:
        raise MalformedError("the Content-Encoding is none of identity, gzip, deflate, br")
    return make()


def _deflate_bits(head: bytes) -> int:
    is_zlib = head[0] & 0x0F == _ZLIB_METHOD and (head[0] << 8 | head[1]) % _ZLIB_CHECK == 0
    return _ZLIB if is_zlib else _RAW


def _undecodable() -> MalformedError:
    return MalformedError("the body is not what its Content-Encoding says")


def _cut_off() -> MalformedError:
    return MalformedError("the compressed body ends too early")
