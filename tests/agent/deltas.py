"""Deltas put together by hand, from the words of docs/agent.md, 9 and nothing else of ours."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby

from client_agent.values import InstalledVersion
from client_agent.versions.install import Installation
from rollout.manifest import EntryKind, Manifest, ManifestEntry, parse_manifest
from rollout.model import Delta
from tests.agent.trees import Packed, Tree, xz

END, KEEP, SKIP, SAME, PATCH, NEW, LINK, DIR = (bytes([op]) for op in range(8))


def uv(number: int) -> bytes:
    groups = [number & 127]
    while number := number >> 7:
        groups.append(number & 127)
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def sv(number: int) -> bytes:
    return uv(2 * number if number >= 0 else -2 * number - 1)


def name(text: str | bytes, shared: int = 0) -> bytes:
    """Spell what comes after the first *shared* bytes of the name before."""
    rest = text.encode() if isinstance(text, str) else text
    return uv(shared) + uv(len(rest)) + rest


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def record(
    copy: int = 0, literal: int = 0, seek: int = 0, *, runs: Sequence[int] | None = None
) -> bytes:
    """Spell one record of a patch; *runs* are alternately added to and unchanged."""
    spelled = uv(copy << 1 | (runs is not None))
    return spelled + b"".join(map(uv, runs or ())) + uv(literal) + sv(seek)


def added(new: bytes, old: bytes) -> bytes:
    """Return what must be added to each byte of *old*."""
    return bytes((one - other) % 256 for one, other in zip(new, old, strict=True))


def patch(path: bytes, index: int, content: bytes, *records: bytes, mode: int = 0) -> bytes:
    """Spell a PATCH; *path* is spelled already."""
    head = PATCH + bytes([mode]) + path + uv(index)
    return head + uv(len(content)) + digest(content) + b"".join(records)


def new(path: bytes, content: bytes, *, mode: int = 0) -> bytes:
    return NEW + bytes([mode]) + path + uv(len(content)) + digest(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A delta's bytes, what the release document says about it, and its streams, unpacked."""

    data: bytes
    signed: Delta
    streams: tuple[bytes, bytes, bytes] = (b"", b"", b"")


def delta_of(
    base: Packed,
    goal: Packed,
    control: bytes,
    difference: bytes = b"",
    literal: bytes = b"",
    *,
    output_bytes: int = 0,
    max_file_bytes: int | None = None,
    packed: Sequence[bytes] | None = None,
    **lies: bytes | int | Sequence[int],
) -> Made:
    """Put a delta together, with whatever lies are asked for."""
    raw = (control, difference, literal)
    streams = [xz(each) for each in raw] if packed is None else packed
    header = {
        "magic": b"SRNPB1\r\n",
        "from_manifest": digest(base.manifest),
        "to_manifest": digest(goal.manifest),
        "packed_bytes": [len(each) for each in streams],
        "raw_bytes": [len(each) for each in raw],
        "output_bytes": output_bytes,
        **lies,
    }
    values = [
        each
        for value in header.values()
        for each in (value if isinstance(value, list | tuple) else [value])
    ]
    signed = Delta(
        path="demo/delta",
        from_version=base.goal.version,
        from_manifest=hashlib.sha256(base.manifest).hexdigest(),
        algo="pb1",
        output_bytes=output_bytes,
        max_file_bytes=output_bytes if max_file_bytes is None else max_file_bytes,
    )
    data = struct.pack("<8s32s32s3Q3QQ", *values) + b"".join(streams)
    return Made(data=data, signed=signed, streams=raw)


def header_line(packed: Packed) -> bytes:
    return name(packed.manifest.split(b"\n", 1)[0])


def build_delta(installation: Installation, goal: Packed, made: Made) -> InstalledVersion:
    """Build the goal from the delta, as the loop does after its download."""
    part = BytesIO(made.data)
    return installation.build(part, goal.goal, lambda _written, _total: None, delta=made.signed)


def make_delta(base: Packed, old: Tree, goal: Packed, tree: Tree) -> Made:
    """Return a delta from *old* to *tree* that uses every operation that fits, plainly."""
    return _Maker(base, old, goal, tree).make()


class _Maker:
    def __init__(self, base: Packed, old: Tree, goal: Packed, tree: Tree) -> None:
        self._base, self._goal = base, goal
        self._old_files, self._files = old, tree
        self._old: Manifest = parse_manifest(base.manifest)
        self._new: Manifest = parse_manifest(goal.manifest)
        self._control = bytearray(header_line(goal))
        self._name = goal.manifest.split(b"\n", 1)[0]
        self._difference = bytearray()
        self._literal = bytearray()
        self._output: list[int] = [0]
        self._cursor = 0

    def make(self) -> Made:
        by_path = {entry.path: index for index, entry in enumerate(self._old.entries)}
        by_digest = {
            entry.sha256: index for index, entry in enumerate(self._old.entries) if entry.sha256
        }
        for entry in self._new.entries:
            index = by_path.get(entry.path)
            if index is not None and self._old.entries[index] == entry:
                self._keep(index)
            elif entry.kind is EntryKind.LINK:
                self._control += LINK + self._spelled(entry.path) + self._spelled(entry.target)
            elif entry.kind is EntryKind.FOLDER:
                self._control += DIR + self._spelled(entry.path)
            elif entry.sha256 in by_digest:
                head = SAME + self._mode(entry) + self._spelled(entry.path)
                self._control += head + uv(by_digest[entry.sha256])
            elif index is not None and self._old.entries[index].kind is EntryKind.FILE:
                self._patch(entry, index)
            else:
                content = self._content(entry)
                mode = self._mode(entry)[0]
                self._control += new(self._spelled(entry.path), content, mode=mode)
                self._literal += content
                self._output.append(len(content))
        self._control += END
        return delta_of(
            self._base,
            self._goal,
            bytes(self._control),
            bytes(self._difference),
            bytes(self._literal),
            output_bytes=sum(self._output),
            max_file_bytes=max(self._output),
        )

    def _keep(self, index: int) -> None:
        if index != self._cursor:
            self._control += SKIP + uv(index - self._cursor)
        self._control += KEEP + uv(1)
        self._cursor = index + 1

    def _patch(self, entry: ManifestEntry, index: int) -> None:
        """An empty record, one with runs, one without, and what the old file has no bytes for."""
        content, old = self._content(entry), self._content(self._old.entries[index], old=True)
        whole = min(len(content), len(old))
        half = whole // 2
        runs = [0] if content[:1] == old[:1] else []
        for equal, run in groupby(added(content[:half], old[:half]), lambda each: each == 0):
            found = bytes(run)
            runs.append(len(found))
            self._difference += b"" if equal else found
        self._difference += added(content[half:whole], old[half:whole])
        self._literal += content[whole:]
        records = [
            record(),
            record(half, runs=runs) if half else b"",
            record(whole - half, len(content) - whole),
        ]
        path, mode = self._spelled(entry.path), self._mode(entry)[0]
        self._control += patch(path, index, content, *(records if content else []), mode=mode)
        self._output.append(len(content))

    def _content(self, entry: ManifestEntry, *, old: bool = False) -> bytes:
        content = (self._old_files if old else self._files)[entry.path]
        assert isinstance(content, bytes)
        return content

    def _mode(self, entry: ManifestEntry) -> bytes:
        return bytes([entry.mode == 0o755])

    def _spelled(self, text: str) -> bytes:
        spelled = text.encode()
        shared = 0
        while shared < min(len(spelled), len(self._name)) and spelled[shared] == self._name[shared]:
            shared += 1
        self._name = spelled
        return name(spelled[shared:], shared)
