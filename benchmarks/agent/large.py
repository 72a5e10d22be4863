"""Memory where files are large: one of 512 MB, patched in thousands of places, and unpacked."""

from __future__ import annotations

import hashlib
import lzma
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from packaging.version import Version

from benchmarks.agent.installing import APP, PLATFORM, by_delta, install
from benchmarks.agent.measured import bare_bytes
from benchmarks.evidence.line import Line, at_most
from client_agent.versions.build import BuildOrder
from rollout.delta_format import (
    DeltaHeader,
    Op,
    StreamSizes,
    render_header,
    spell_name,
    spell_sv,
    spell_uv,
)
from rollout.manifest import (
    EntryKind,
    Manifest,
    ManifestEntry,
    manifest_for,
    render_manifest,
)
from rollout.names import RESERVED_ROOT
from update_server.cli.deltas.steps import Tree
from update_server.cli.deltas.writer import WrittenDelta

FILE_BYTES = 512 * 1000**2
MOST_BYTES = 64 * 1024**2
_BLOCK_BYTES = 1000**2
_CHANGED_BYTES = 100  # of each block, at its start
_DICTIONARY_BYTES = 32 * 1024**2  # what a payload may ask for at most


def lines(file_bytes: int = FILE_BYTES) -> list[Line]:
    """Return the peaks of applying a delta and of unpacking a payload."""
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as place:
        folder, bare = Path(place), bare_bytes()
        blocks = file_bytes // _BLOCK_BYTES
        old = _installed(folder / "old", blocks)
        new = _manifest("1.1.0", _sha256(_blocks(blocks, changed=True)), blocks * _BLOCK_BYTES)
        order = BuildOrder(
            app=APP,
            platform=PLATFORM,
            version="1.1.0",
            manifest_sha256=hashlib.sha256(render_manifest(new)).hexdigest(),
            tree_bytes=new.tree_bytes,
            files=1,
        )
        delta, payload = folder / "delta", folder / "payload"
        written = _write_delta(old, new, blocks, delta)
        applied = install(delta, by_delta(order, old, written), folder / "patched")
        _write_payload(new, blocks, payload)
        unpacked = install(payload, order, folder / "unpacked")
    return [
        at_most("delta_apply_rss_bytes", applied.peak_bytes - bare, MOST_BYTES, n=1),
        at_most("full_unpack_rss_bytes", unpacked.peak_bytes - bare, MOST_BYTES, n=1),
    ]


def _blocks(count: int, *, changed: bool) -> Iterator[bytes]:
    """Return the file in blocks, each with a number of its own; *changed*, with another start."""
    noise = Random(1).randbytes(_BLOCK_BYTES)
    for number in range(count):
        head = _head(number, changed=changed)
        yield head + noise[len(head) : -8] + number.to_bytes(8, "little")


def _head(number: int, *, changed: bool) -> bytes:
    return Random(2 * number + changed).randbytes(_CHANGED_BYTES)


def _sha256(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _manifest(version: str, sha256: str, size_bytes: int) -> Manifest:
    entry = ManifestEntry(
        kind=EntryKind.FILE, path="app", mode=0o755, size_bytes=size_bytes, sha256=sha256
    )
    return manifest_for(
        app=APP,
        platform=PLATFORM,
        version=Version(version),
        entry_point="app",
        entries=[entry],
    )


def _installed(root: Path, blocks: int) -> Tree:
    (root / RESERVED_ROOT).mkdir(parents=True)
    with (root / "app").open("wb") as file:
        file.writelines(_blocks(blocks, changed=False))
    (root / "app").chmod(0o755)
    sha256 = _sha256(_blocks(blocks, changed=False))
    manifest = _manifest("1.0.0", sha256, blocks * _BLOCK_BYTES)
    (root / RESERVED_ROOT / "manifest").write_bytes(render_manifest(manifest))
    return Tree(root=root, manifest=manifest)


def _write_delta(old: Tree, new: Manifest, blocks: int, out: Path) -> WrittenDelta:
    """Write one patch with two runs a block; the publisher's way would take minutes here."""
    entry, size = new.entries[0], new.tree_bytes
    line = render_manifest(new).partition(b"\n")[0]
    runs = b"".join(
        spell_uv(_CHANGED_BYTES) + spell_uv(_BLOCK_BYTES - _CHANGED_BYTES) for _ in range(blocks)
    )
    path = spell_name(line, entry.path.encode())
    head = bytes([Op.SKIP, 1, Op.PATCH, 1]) + path + spell_uv(0) + spell_uv(size)
    record = spell_uv(size << 1 | 1) + runs + spell_uv(0) + spell_sv(0)
    control = spell_name(b"", line) + head + bytes.fromhex(entry.sha256) + record + bytes([Op.END])
    difference = bytearray()
    for number in range(blocks):
        was, now = (_head(number, changed=changed) for changed in (False, True))
        difference += bytes((b - a) % 256 for a, b in zip(was, now, strict=True))
    raw = (control, bytes(difference), b"")
    streams = [lzma.compress(each, filters=_filters(8 * 1024**2)) for each in raw]
    header = DeltaHeader(
        from_manifest=old.sha256,
        to_manifest=hashlib.sha256(render_manifest(new)).hexdigest(),
        packed=StreamSizes(*map(len, streams)),
        raw=StreamSizes(*map(len, raw)),
        output_bytes=size,
    )
    out.write_bytes(render_header(header) + b"".join(streams))
    return WrittenDelta(output_bytes=size, max_file_bytes=size, length_bytes=out.stat().st_size)


def _write_payload(manifest: Manifest, blocks: int, out: Path) -> None:
    spelled = render_manifest(manifest)
    packed = lzma.compress(spelled)
    packer = lzma.LZMACompressor(filters=_filters(_DICTIONARY_BYTES))
    header = struct.Struct("<8sIIQQ")
    with out.open("wb") as file:
        file.write(bytes(header.size) + packed)
        begin = file.tell()
        file.writelines(packer.compress(block) for block in _blocks(blocks, changed=True))
        file.write(packer.flush())
        sizes = (len(packed), len(spelled), file.tell() - begin, manifest.content_bytes)
        file.seek(0)
        file.write(header.pack(b"SRNPAY1\n", *sizes))


def _filters(dictionary_bytes: int) -> list[dict[str, int]]:
    """Quick packing; what unpacking takes depends on the dictionary alone."""
    return [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary_bytes}]
