"""Where a new file is like an old one: the matches that HDiffPatch finds.

Its uncompressed answer is in the format HDIFF13: a magic, eleven numbers, and then the matches
(it calls them covers). The rest of the answer, the bytes to patch with, is not used.

Numbers are seven bits a byte, highest first, and the eighth bit says that more follow. A match is
three of them: how far its place in the old file is from the end of the match before, with one
bit ahead for the sign; how far the same is in the new file; its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import hdiffpatch

_MAGIC = b"HDIFF13&\0"  # no name between & and the zero: nothing is compressed
_NUMBERS = 11  # after the magic; of these:
_NEW_BYTES, _OLD_BYTES, _COUNT, _MATCHES_BYTES, _PACKED_BYTES = range(5)


class Match(NamedTuple):
    """*size* bytes at *old* and at *new* that are alike, though not all need be the same."""

    old: int
    new: int
    size: int


@dataclass(frozen=True, slots=True)
class Matches:
    """All matches of two files, in the order of the new one, without overlaps there."""

    spelled: bytes
    count: int

    def __iter__(self) -> Iterator[Match]:
        """Return the matches."""
        at = old = new = 0
        for _ in range(self.count):
            back = self.spelled[at] & 0x80
            step, at = _number(self.spelled, at, bits=6)
            gap, at = _number(self.spelled, at)
            size, at = _number(self.spelled, at)
            old += -step if back else step
            new += gap
            yield Match(old, new, size)
            old += size
            new += size


def matches_between(old: bytes, new: bytes) -> Matches:
    """Return where *new* is like *old*. It takes about six times the memory of *old*.

    Raises:
        ValueError: The library answers in a format that it does not document.
    """
    answer = hdiffpatch.diff(old, new, validate=False)  # what is made of it is proven as a whole
    if not answer.startswith(_MAGIC):
        raise ValueError("hdiffpatch: not HDIFF13")
    numbers, at = [], len(_MAGIC)
    for _ in range(_NUMBERS):
        number, at = _number(answer, at)
        numbers.append(number)
    if (numbers[_NEW_BYTES], numbers[_OLD_BYTES], numbers[_PACKED_BYTES]) != (
        len(new),
        len(old),
        0,
    ):
        raise ValueError("hdiffpatch: another header than HDIFF13 has")
    return Matches(answer[at : at + numbers[_MATCHES_BYTES]], numbers[_COUNT])


def _number(data: bytes, at: int, bits: int = 7) -> tuple[int, int]:
    """Return the number at *at*, whose first byte holds *bits* of it, and what comes after it."""
    byte = data[at]
    number = byte & ((1 << bits) - 1)
    more = byte >> bits & 1
    while more:
        at += 1
        number = number << 7 | data[at] & 0x7F
        more = data[at] >> 7
    return number, at + 1
