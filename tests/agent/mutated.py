"""Mutated payloads, manifests and deltas of one small pair of trees.

In life the digest of what was signed is checked before a byte of it is parsed; here that is passed
over, so that the parsers stand alone. Half of the kinds also compress and sign anew what was
mutated: then neither checksums nor digests catch it before the rules do.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from client_agent.versions.build import Base, BuildOrder
from rollout.delta_control import Control
from rollout.errors import RolloutError
from rollout.manifest import parse_manifest, render_entry
from tests.agent.deltas import (
    DIR,
    END,
    KEEP,
    LINK,
    SAME,
    Made,
    delta_of,
    header_line,
    make_delta,
    name,
    new,
    uv,
)
from tests.agent.trees import APP, Packed, Tree, contents_of, pack, payload_of, xz

Streams = tuple[bytes, bytes, bytes]
"""Of a delta, unpacked: control, difference, literal."""

_BLOB = random.Random(7).randbytes(3_000)
OLD: Tree = {
    "app": APP,
    "data/a": _BLOB,
    "data/gone": b"gone",
    "data/moved": b"moved" * 20,
    "empty": None,
    "lib/libx.so": "-> libx.so.1",
    "lib/libx.so.1": b"\x7fELF" + bytes(range(256)),
    "readme": b"as it was",
}
_NEW: Tree = {
    "app": APP + b"# and more\n",
    "data/a": _BLOB[:700] + b"inserted" + _BLOB[700:2_000] + b"?" + _BLOB[2_001:],
    "data/elsewhere": b"moved" * 20,
    "data/new": b"new" * 100,
    "data/twice": b"new" * 100,
    "empty-too": None,
    "lib/libx.so": "-> libx.so.1",
    "lib/libx.so.1": b"\x7fELF" + bytes(range(256)),
    "readme": b"as it was",
}
BASE = pack(OLD, version="1.0")

_HOSTILE = [
    *("../escaped", "a/../../escaped", "a//b", ".", "..", "", "./a", "a/", "a/."),
    *(".serinus/manifest", ".SERINUS/x", ".seri\u200cnus/x", "nul", "com1.txt", "a/con", "aux.h"),
    *("APP", "Data/a", "app/below", "data", "lib/libx.so/below", "a\\b", "c:x", "a:stream"),
    *("a\tb", "a\nb", "a\0b", "a\x7f", "a\x1b[2J", " a", "a ", "a.", "e\u0301", "\u212a", "a*"),
    *("n" * 256, "n/" * 40 + "n", "n" * 100 + "/" + "n" * 101, "\u00e9" * 130, "\U0001f4a9"),
]
_BOMB_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A part, and what was ordered. ``damage``: what files of the base hold by now."""

    part: bytes
    order: BuildOrder
    damage: Mapping[str, bytes] = field(default_factory=dict)


def mutated(data: bytes, draw: random.Random, numbers: tuple[int, ...] = ()) -> bytes:
    """Return *data* with a fault: flips, cuts, insertions, splices, numbers that lie.

    *numbers*: where numbers of 8 bytes are.
    """
    changed = bytearray(data or b"\0")
    at, other = draw.randrange(len(changed)), draw.randrange(len(changed))
    size = draw.choice([1, 1, 2, 3, 8, 32, 64])
    match draw.randrange(9 if numbers else 8):
        case 0 | 1:
            for _ in range(draw.randint(1, 4)):
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        case 2:
            del changed[at:]
        case 3:
            changed[at:at] = draw.randbytes(size)
        case 4:
            del changed[at : at + size]
        case 5:
            changed[at : at + size] = changed[other : other + size]
        case 6:
            changed[at:at] = changed[other : other + size]
        case 7:
            changed[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
        case _:
            where = draw.choice(numbers)
            (before,) = struct.unpack_from("<Q", changed, where)
            lie = draw.choice([0, 1, before - 1, before + 1, 2**31, 2**63, 2**64 - 1, at])
            struct.pack_into("<Q", changed, where, lie % 2**64)
    return bytes(changed)


class Cases:
    """Draws cases, by ``kinds``. *base* is the folder where OLD has been built."""

    def __init__(self, base: Path, seed: int) -> None:
        self._draw = random.Random(seed)
        self._folder = base
        self._goal = pack(_NEW, version="2.0")
        self._contents = contents_of(self._goal, _NEW)
        self._made = make_delta(BASE, OLD, self._goal, _NEW)
        self._bomb_xz = xz(bytes(_BOMB_BYTES))
        self.kinds: dict[str, Callable[[], Case]] = {
            "payload": self._payload,
            "payload contents, compressed anew": self._payload_contents,
            "manifest, signed anew": self._manifest,
            "hostile name in a manifest, signed anew": self._hostile_manifest,
            "delta": self._delta,
            "delta streams, compressed anew": self._streams,
            "delta streams, compressed and signed anew": self._signed_streams,
            "hostile name in a delta, signed anew": self._hostile_delta,
            "spliced streams": self._spliced,
            "bomb": self._bomb,
            "damaged base": self._damaged_base,
        }

    # --- payloads and manifests

    def _payload(self) -> Case:
        part = mutated(self._goal.payload, self._draw, (8, 16, 24))
        return Case(part=part, order=order_of(self._goal.manifest))

    def _payload_contents(self) -> Case:
        content = mutated(self._contents, self._draw)
        declared = self._draw.choice([len(self._contents), len(content)])
        part = payload_of(self._goal.manifest, content, content_raw=declared)
        return Case(part=part, order=order_of(self._goal.manifest))

    def _manifest(self) -> Case:
        return self._payload_with(mutated(self._goal.manifest, self._draw))

    def _hostile_manifest(self) -> Case:
        header, *lines, end = self._goal.manifest.split(b"\n")
        at = self._draw.randrange(len(lines))
        parts = lines[at].split(b"\t")
        parts[self._draw.choice([-1, -1, -1, 1])] = self._name()  # 1: a link's target, for one
        lines[at] = b"\t".join(parts)
        lines.sort(key=lambda line: line.rsplit(b"\t", 1)[-1])
        return self._payload_with(b"\n".join([header, *lines, end]))

    def _payload_with(self, manifest: bytes) -> Case:
        return Case(part=payload_of(manifest, self._contents), order=order_of(manifest))

    # --- deltas

    def _delta(self) -> Case:
        part = mutated(self._made.data, self._draw, tuple(range(72, 128, 8)))
        return self._case(replace(self._made, data=part))

    def _streams(self) -> Case:
        output_bytes = self._made.signed.output_bytes
        return self._case(
            delta_of(BASE, self._goal, *self._mutated_streams(), output_bytes=output_bytes)
        )

    def _signed_streams(self) -> Case:
        return self._signed(self._mutated_streams())

    def _hostile_delta(self) -> Case:
        hostile = name(self._name())
        operation = self._draw.choice(
            [
                SAME + b"\0" + hostile + uv(1),
                new(hostile, b""),
                DIR + hostile,
                LINK + hostile + name("app"),
                LINK + name("link") + hostile,
            ]
        )
        return self._signed((header_line(self._goal) + KEEP + uv(1) + operation + END, b"", b""))

    def _spliced(self) -> Case:
        """A stream in another's place, or one of the payload."""
        packed = [xz(each) for each in self._made.streams]
        others = [*packed, xz(self._contents), xz(self._goal.manifest), xz(b"")]
        packed[self._draw.randrange(3)] = self._draw.choice(others)
        return self._case(self._packed(packed, [len(each) for each in self._made.streams]))

    def _bomb(self) -> Case:
        """A stream of 16 MiB in a few thousand bytes, honestly declared or not."""
        at = self._draw.randrange(4)
        declared = self._draw.choice([_BOMB_BYTES, None])
        if at == 3:
            manifest, bomb = self._goal.manifest, self._bomb_xz
            size = declared or len(self._contents)
            part = payload_of(manifest, b"", content_xz=bomb, content_raw=size)
            return Case(part=part, order=order_of(manifest))
        packed = [xz(each) for each in self._made.streams]
        sizes = [len(each) for each in self._made.streams]
        packed[at], sizes[at] = self._bomb_xz, declared or sizes[at]
        return self._case(self._packed(packed, sizes))

    def _damaged_base(self) -> Case:
        path = self._draw.choice([entry.path for entry in parse_manifest(BASE.manifest).files])
        content = OLD[path]
        assert isinstance(content, bytes)
        return replace(self._case(self._made), damage={path: mutated(content, self._draw)})

    def _mutated_streams(self) -> Streams:
        streams = list(self._made.streams)
        at = self._draw.choice([0, 0, 0, 1, 2])
        streams[at] = mutated(streams[at], self._draw)
        return streams[0], streams[1], streams[2]

    def _packed(self, packed: list[bytes], sizes: list[int]) -> Made:
        output_bytes = self._made.signed.output_bytes
        return delta_of(
            BASE,
            self._goal,
            *self._made.streams,
            output_bytes=output_bytes,
            packed=packed,
            raw_bytes=sizes,
        )

    def _signed(self, streams: Streams) -> Case:
        """Return the case in which header, document and manifest say what the streams make."""
        lines: list[str] = []
        used, output_bytes = (len(streams[1]), len(streams[2])), 0
        try:
            control = Control(iter([streams[0]]), parse_manifest(BASE.manifest).entries)
            lines.append(control.header)
            for placed in control.entries():
                for _ in placed.segments or ():
                    pass
                lines.append(render_entry(placed.entry))
            used = (control.difference_bytes, control.literal_bytes)
            output_bytes = control.output_bytes
        except RolloutError:
            pass  # the applier stops there, too
        manifest = "".join(f"{line}\n" for line in lines).encode()
        # As long as they are used, where that is within reason.
        fitted = (
            stream[:size].ljust(min(size, _BOMB_BYTES), b"\0")
            for stream, size in zip(streams[1:], used, strict=True)
        )
        goal = Packed(payload=b"", manifest=manifest, goal=self._goal.goal)
        made = delta_of(BASE, goal, streams[0], *fitted, output_bytes=output_bytes)
        return self._case(made, manifest)

    def _case(self, made: Made, manifest: bytes | None = None) -> Case:
        base = Base(
            folder=str(self._folder),
            manifest_sha256=made.signed.from_manifest,
            output_bytes=made.signed.output_bytes,
            max_file_bytes=made.signed.max_file_bytes,
        )
        order = order_of(self._goal.manifest if manifest is None else manifest)
        return Case(part=made.data, order=replace(order, base=base))

    def _name(self) -> bytes:
        escaped = str(self._folder.parent / "escaped")
        return self._draw.choice([escaped, *_HOSTILE]).encode()


def order_of(manifest: bytes) -> BuildOrder:
    """Return the order of whoever signed *manifest*."""
    order = BuildOrder(
        app="demo",
        platform="linux-x86_64",
        version="2.0",
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        tree_bytes=0,
        files=0,
    )
    try:
        parsed = parse_manifest(manifest)
    except RolloutError:
        return order
    return replace(
        order,
        app=parsed.app,
        platform=parsed.platform,
        version=str(parsed.version),
        tree_bytes=parsed.tree_bytes,
        files=len(parsed.files),
    )
