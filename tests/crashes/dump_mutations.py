"""What becomes of mutated minidumps.

    python -m tests.crashes.dump_mutations --count 200000 --seed 1

Half of the mutations are of fields that say where something lies, or how much of it there is:
these are the ones that a reader follows.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.crashes.dumping import ARM64, MACOS, WINDOWS, X86, Module, a_crash, pdb, words
from tests.crashes.real_dumps import NAMES, real_dump
from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump import parse_minidump
from update_server.crashes.signature import signature_of

STACK = 0x7F00_0000
BORDERS = (0, 1, 3, 4, 7, 8, 255, 256, 512, 513, 1024, 4096, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


@dataclass(slots=True)
class MutationCounts:
    """What became of the cases: read, refused, and how long the slowest took.

    ``others`` are errors by type that should never be raised: it must be empty.
    """

    read: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    others: Counter[str] = field(default_factory=Counter)


def originals() -> list[bytes]:
    """Return the dumps that are mutated: real ones, and small ones of other machines."""
    stack = words(STACK + 16, 0x10204, 0, 0x71004)
    small = struct.pack("<4I", STACK + 8, 0x10201, 0, 0x71001)
    notes = Module(base=0x10000, size=0x4000, name=r"C:\Notes\Notes.exe", code_view=pdb())
    told: dict[str | bytes, str | bytes] = {"ptype": "browser", "_version": "2.4.0"}
    return [
        *map(real_dump, NAMES),
        a_crash(arch=ARM64, platform=MACOS, code=1, stack=stack, told=told),
        a_crash(arch=X86, platform=WINDOWS, code=0xC0000005, stack=small, loaded=[notes]),
        a_crash(platform=WINDOWS, code=0xC0000005, stack=stack, loaded=[notes], told=told),
    ]


def mutated(chance: random.Random, dumps: list[bytes], count: int) -> Iterator[bytes]:
    """Yield *count* dumps that are not quite those given."""
    for _ in range(count):
        data = bytearray(chance.choice(dumps))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8, 40))):
            _mutate(chance, data, dumps)
        yield bytes(data)


def _mutate(chance: random.Random, data: bytearray, dumps: list[bytes]) -> None:
    if len(data) < 8:
        return
    match chance.randrange(8):
        case 0:
            data[chance.randrange(len(data))] = chance.randrange(256)
        case 1:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case 2:
            del data[chance.randrange(len(data)) :]
        case 3:
            other = chance.choice(dumps)
            start, size = chance.randrange(len(data)), chance.randrange(200)
            data[start : start + size] = other[start : start + size]
        case _:
            at = 4 * chance.randrange(len(data) // 4)
            (number,) = struct.unpack_from("<I", data, at)
            near = (number + chance.randrange(-16, 17)) & 0xFFFF_FFFF
            inside = chance.randrange(len(data))
            number = chance.choice((near, inside, chance.choice(BORDERS)))
            struct.pack_into("<I", data, at, number)


def try_all(count: int, seed: int) -> MutationCounts:
    """Read *count* mutated dumps, and say what became of them."""
    counts = MutationCounts()
    for data in mutated(random.Random(seed), originals(), count):
        before = time.process_time()
        try:
            signature_of(parse_minidump(data).report)
            counts.read += 1
        except MalformedMinidumpError:
            counts.refused += 1
        except Exception as error:  # noqa: BLE001 - whichever it is, it is a mistake
            counts.others[repr(error)] += 1
        counts.slowest_seconds = max(counts.slowest_seconds, time.process_time() - before)
    return counts


def peak_bytes(data: bytes) -> int:
    """Return how much memory reading *data* takes beside it."""
    tracemalloc.start()
    try:
        parse_minidump(data)
        return tracemalloc.get_traced_memory()[1]
    except MalformedMinidumpError:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.stdout.write(f"{try_all(given.count, given.seed)}\n")
