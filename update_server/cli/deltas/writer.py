"""Writing a delta: steps become three packed streams and a header (docs/agent.md, 9).

Not here: finding the steps (``steps``), patches (``patch``).
"""

from __future__ import annotations

import lzma
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rollout.delta_format import (
    DICTIONARY_BYTES,
    MAX_CONTROL_BYTES,
    MAX_DELTA_BYTES,
    MODES,
    DeltaHeader,
    Op,
    StreamSizes,
    render_header,
    spell_name,
    spell_uv,
)
from rollout.manifest import ManifestEntry, render_manifest
from update_server.cli.deltas.patch import Streams, write_patch
from update_server.cli.deltas.steps import NoDeltaError, Step, Tree, steps_between

# Leaving out shorter runs of zeros costs more in the control stream than it saves in the other.
_LEAST_ZEROS = (None, 512, 4096)
_COPY_BYTES = 1024**2
_SMALL_BYTES = 64 * 1024
_CONTEXT_BITS = (
    3,
    0,
    1,
    2,
    4,
)  # the first is best for most; which is best for little, trying tells
_MIN_DICTIONARY_BYTES = 64 * 1024
_OUTPUT = frozenset({Op.PATCH, Op.NEW})
_MODE_BYTES = {mode: bytes([byte]) for byte, mode in MODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDelta:
    """What the release document says of a delta, and its length."""

    output_bytes: int
    max_file_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class _Packed:
    """A stream, packed in *path*, and its length before."""

    path: Path
    raw_bytes: int

    @property
    def packed_bytes(self) -> int:
        return self.path.stat().st_size


def write_delta(old: Tree, new: Tree, out: Path) -> WrittenDelta:
    """Write the shortest delta from *old* to *new* that is found to the new file *out*.

    Raises:
        NoDeltaError: It would break a limit of the format.
    """
    steps = list(steps_between(old, new))
    made = [step.entry.size_bytes for step in steps if step.entry and step.op in _OUTPUT]
    with tempfile.TemporaryDirectory(prefix="delta-", dir=out.parent) as folder:
        tries: list[list[_Packed]] = []
        for number, least_zeros in enumerate(_LEAST_ZEROS):
            literal = tries[0][-1] if tries else None  # the same every time
            streams = Path(folder) / str(number)
            tries.append(_write_streams(steps, old, new, least_zeros, streams, literal))
        shortest = min(tries, key=lambda streams: sum(each.packed_bytes for each in streams))
        _put_together(old, new, sum(made), shortest, out)
    return WrittenDelta(
        output_bytes=sum(made),
        max_file_bytes=max(made, default=0),
        length_bytes=out.stat().st_size,
    )


def _write_streams(
    steps: Iterable[Step],
    old: Tree,
    new: Tree,
    least_zeros: int | None,
    folder: Path,
    literal: _Packed | None,
) -> list[_Packed]:
    """Write the streams of *steps*, packed, to files of *folder*; *literal* when that is there."""
    folder.mkdir()
    paths = [folder / name for name in ("control", "difference", "literal")]
    with ExitStack() as opened:
        control, difference, literals = [
            opened.enter_context(path.open("wb")).write for path in paths
        ]
        streams = Streams(control, difference, literals if literal is None else _ignore)
        writer = _StepWriter(old, new, least_zeros, streams)
        for step in steps:
            writer.write(step)
        writer.end()
    if paths[0].stat().st_size > MAX_CONTROL_BYTES:
        raise NoDeltaError(f"its control stream is longer than {MAX_CONTROL_BYTES} bytes")
    return [*(_pack(path) for path in paths[:-1]), literal or _pack(paths[-1])]


def _ignore(_: bytes) -> None:
    pass


class _StepWriter:
    """Spells steps into the streams."""

    def __init__(self, old: Tree, new: Tree, least_zeros: int | None, streams: Streams) -> None:
        self._old = old
        self._new = new
        self._least_zeros = least_zeros
        self._streams = streams
        self._name = b""  # the one spelled last, of any kind
        streams.control(self._spelled(render_manifest(new.manifest).partition(b"\n")[0]))

    def write(self, step: Step) -> None:
        """Write one step."""
        control, entry = self._streams.control, step.entry
        control(bytes([step.op]))
        if entry is None:
            control(spell_uv(step.count))
        elif step.op is Op.LINK:
            control(self._spelled(entry.path.encode()))
            control(self._spelled(entry.target.encode()))
        elif step.op is Op.DIR:
            control(self._spelled(entry.path.encode()))
        else:
            control(_MODE_BYTES[entry.mode] + self._spelled(entry.path.encode()))
            self._write_content(step, entry)

    def end(self) -> None:
        """Write that this was all."""
        self._streams.control(bytes([Op.END]))

    def _write_content(self, step: Step, entry: ManifestEntry) -> None:
        control = self._streams.control
        if step.op is not Op.NEW:
            control(spell_uv(step.source))
        if step.op is Op.SAME:
            return
        control(spell_uv(entry.size_bytes) + bytes.fromhex(entry.sha256))
        content = self._new.file(entry).read_bytes()
        if step.matches is None:
            self._streams.literal(content)
            return
        was = self._old.file(self._old.manifest.entries[step.source]).read_bytes()
        write_patch(was, content, step.matches, self._least_zeros, self._streams)

    def _spelled(self, name: bytes) -> bytes:
        spelled = spell_name(self._name, name)
        self._name = name
        return spelled


def _pack(path: Path) -> _Packed:
    """Replace the file by what it is packed."""
    raw_bytes = path.stat().st_size
    packed = path.with_suffix(".xz")
    if raw_bytes <= _SMALL_BYTES:
        raw = path.read_bytes()
        tries = (_packer(raw_bytes, bits) for bits in _CONTEXT_BITS)
        packed.write_bytes(min((one.compress(raw) + one.flush() for one in tries), key=len))
    else:
        packer = _packer(raw_bytes, _CONTEXT_BITS[0])
        with path.open("rb") as file, packed.open("wb") as out:
            while step := file.read(_COPY_BYTES):
                out.write(packer.compress(step))
            out.write(packer.flush())
    path.unlink()
    return _Packed(packed, raw_bytes)


def _packer(raw_bytes: int, context_bits: int) -> lzma.LZMACompressor:
    # No larger than the stream needs: eleven times as much memory is asked for here.
    needed = max(_MIN_DICTIONARY_BYTES, 1 << max(raw_bytes - 1, 0).bit_length())
    lzma2 = {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": min(needed, DICTIONARY_BYTES),
        "lc": context_bits,
        "pb": 0,  # nothing in these streams begins at a multiple of anything
    }
    return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=[lzma2])


def _put_together(
    old: Tree, new: Tree, output_bytes: int, streams: Sequence[_Packed], out: Path
) -> None:
    header = DeltaHeader(
        from_manifest=old.sha256,
        to_manifest=new.sha256,
        packed=StreamSizes(*(each.packed_bytes for each in streams)),
        raw=StreamSizes(*(each.raw_bytes for each in streams)),
        output_bytes=output_bytes,
    )
    if header.delta_bytes > MAX_DELTA_BYTES:
        raise NoDeltaError(f"it is longer than {MAX_DELTA_BYTES} bytes")
    with out.open("xb") as file:
        file.write(render_header(header))
        for each in streams:
            with each.path.open("rb") as packed:
                shutil.copyfileobj(packed, file, _COPY_BYTES)
