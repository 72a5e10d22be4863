"""The records of one patch: how a new file is put together from an old one (docs/agent.md, 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rollout.delta_format import spell_sv, spell_uv
from update_server.cli.deltas.matches import Match, Matches

_WINDOW_BYTES = 1024**2
_LOW = int.from_bytes(b"\x7f" * _WINDOW_BYTES)
_HIGH = int.from_bytes(b"\x80" * _WINDOW_BYTES)

Sink = Callable[[bytes], object]
"""Takes the next bytes of a stream."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Where the bytes of the three streams go."""

    control: Sink
    difference: Sink
    literal: Sink


def write_patch(
    old: bytes, new: bytes, matches: Matches, least_zeros: int | None, streams: Streams
) -> None:
    """Write the records that make *new* from *old*.

    From *least_zeros* on, what is unchanged is told in the control stream and left out of the
    difference stream; None: everything stays there.
    """
    copied = 0  # bytes of the old file that the open record begins with
    copied_at = was_at = now_at = 0
    is_open = False
    for match in _to_the_end(matches, len(new)):
        literal = match.new - now_at
        if is_open or literal or match.old != was_at:
            difference = subtract(new, now_at - copied, old, copied_at, copied)
            _write_copy(difference, least_zeros, streams)
            streams.literal(new[now_at : match.new])
            seek = match.old - was_at if match.size else 0
            streams.control(spell_uv(literal) + spell_sv(seek))
        is_open = True
        copied, copied_at = match.size, match.old
        was_at, now_at = match.old + match.size, match.new + match.size


def _to_the_end(matches: Matches, new_bytes: int) -> Iterator[Match]:
    """Return the matches that match anything, and in the end an empty one behind the new file."""
    yield from (match for match in matches if match.size)
    yield Match(0, new_bytes, 0)


def _write_copy(difference: bytes, least_zeros: int | None, streams: Streams) -> None:
    """Write the first half of a record: a copy, and what is added to it."""
    size = len(difference)
    runs = list(_runs(difference, least_zeros)) if least_zeros else []
    if len(runs) <= 1:  # nothing to leave out
        streams.control(spell_uv(size << 1))
        streams.difference(difference)
        return
    streams.control(spell_uv(size << 1 | 1) + b"".join(spell_uv(end - at) for at, end in runs))
    for at, end in runs[::2]:  # the others are zeros
        streams.difference(difference[at:end])


def _runs(difference: bytes, least_zeros: int) -> Iterator[tuple[int, int]]:
    """Return where bytes to add and zeros begin and end, in turns; the first may be empty."""
    at = 0
    for zeros in re.finditer(rb"\0{%d,}" % least_zeros, difference):
        yield at, zeros.start()
        yield zeros.span()
        at = zeros.end()
    if at < len(difference):
        yield at, len(difference)


def subtract(new: bytes, new_at: int, old: bytes, old_at: int, size: int) -> bytes:
    """Return the differences of *size* bytes of both, each modulo 256.

    One subtraction of two long numbers: with its eighth bit set, no byte borrows from the next.
    """
    found = bytearray()
    for at in range(0, size, _WINDOW_BYTES):
        step = min(_WINDOW_BYTES, size - at)
        one = int.from_bytes(new[new_at + at : new_at + at + step], "little")
        other = int.from_bytes(old[old_at + at : old_at + at + step], "little")
        ones = (1 << 8 * step) - 1
        high, low = _HIGH & ones, _LOW & ones
        rest = (one | high) - (other & low) ^ (one ^ other ^ high) & high
        found += rest.to_bytes(step, "little")
    return bytes(found)
