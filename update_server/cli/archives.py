"""Reading somebody's zip or tar: entry by entry, in a child process with little memory.

Nothing is extracted by name: contents go to numbered files, names to the answer, and the same
validator as in the agent (``rollout.names``) judges them. So no name can write outside, and no
archive can use up the publisher's memory.

Not here: what a tree may hold (``rollout.manifest``), making the payload (``payload``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import stat
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from rollout.errors import BadNameError
from rollout.manifest import MAX_TREE_BYTES, EntryKind, ManifestEntry
from rollout.names import MAX_TREE_ENTRIES, check_payload_path

STEP_BYTES = 64 * 1024
CHILD_MEMORY_BYTES = 768 * 1024**2  # of address space; zstd --long=27 alone takes 128 MiB
_ANSWER_SECONDS = 3600

_CHILD = (
    "import json, sys; message = json.loads(sys.argv[1]); sys.path[:] = message['path']; "
    "from update_server.cli.archives import child_main; child_main(message)"
)


class PayloadError(Exception):
    """What should become a release cannot: ``detail`` says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEntry:
    """One entry of a source, and the file that holds its bytes (None for folders and links)."""

    entry: ManifestEntry
    content: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What an archive says of one entry. A hard link names the earlier path in ``same_as``."""

    path: str
    kind: EntryKind
    executable: bool = False
    target: str = ""
    same_as: str | None = None
    content: IO[bytes] | None = None


def is_archive(path: Path) -> bool:
    """Return whether the file is one of the archives that ``read_archive`` reads."""
    with path.open("rb") as file:
        return _reader_for(file) is not None


def read_archive(archive: Path, into: Path) -> list[SourceEntry]:
    """Return the archive's entries, their contents in numbered files of *into*.

    Raises:
        PayloadError: it is broken, too large, or holds what no payload may.
    """
    message = {"path": sys.path, "archive": str(archive.resolve()), "into": str(into)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", _CHILD, json.dumps(message)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_ANSWER_SECONDS,
        check=False,
    )
    whole = [line for line in done.stdout.splitlines(keepends=True) if line.endswith(b"\n")]
    answers: list[dict[str, Any]] = [json.loads(line) for line in whole]
    if not answers or answers[-1].get("done") is not True:
        told = answers[-1].get("error") if answers else None
        raise PayloadError(told or f"reading it ended with status {done.returncode}")
    return [_source_entry(answer, into) for answer in answers[:-1]]


def child_main(message: dict[str, str]) -> None:
    """Read the archive that *message* names; answer with one line of JSON for each entry."""
    _limit_memory()
    for answer in _answers(Path(message["archive"]), Path(message["into"])):
        sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answers(archive: Path, into: Path) -> Iterator[dict[str, Any]]:
    """Return what to tell of each entry, and in the end that this was all, or what is wrong."""
    try:
        with archive.open("rb") as file:
            yield from _entries(file, into)
        yield {"done": True}
    except PayloadError as error:
        yield {"error": error.detail}
    except BadNameError as error:
        yield {"error": str(error)}
    except MemoryError:
        yield {"error": "it takes too much memory to unpack"}
    except (
        EOFError,
        NotImplementedError,  # zipfile: an unknown method
        OSError,
        RuntimeError,  # zipfile: a password
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        zstandard.ZstdError,
    ) as error:
        yield {"error": f"broken archive: {error}"}


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:  # pragma: no cover - needs Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY_BYTES, CHILD_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_TREE_BYTES, MAX_TREE_BYTES))


def _source_entry(answer: dict[str, Any], into: Path) -> SourceEntry:
    entry = ManifestEntry(
        kind=EntryKind(answer["kind"]),
        path=answer["path"],
        mode=answer["mode"],
        size_bytes=answer["size"],
        sha256=answer["sha256"],
        target=answer["target"],
    )
    content = None if answer["content"] is None else into / answer["content"]
    return SourceEntry(entry=entry, content=content)


def _entries(file: IO[bytes], into: Path) -> Iterator[dict[str, Any]]:
    """Write each content to a file of its own; tell what was found, within the caps."""
    reader = _reader_for(file)
    if reader is None:
        raise PayloadError("neither zip nor tar")
    left = MAX_TREE_BYTES
    files: dict[str, dict[str, Any]] = {}
    for number, found in enumerate(reader(file)):
        if number >= MAX_TREE_ENTRIES:
            raise PayloadError(f"more than {MAX_TREE_ENTRIES} entries")
        answer: dict[str, Any] = {
            "kind": found.kind,
            "path": check_payload_path(found.path),
            "mode": 0,
            "size": 0,
            "sha256": "",
            "target": found.target,
            "content": None,
        }
        if found.same_as is not None:
            answer = {**files.get(found.same_as, {}), "path": answer["path"]}
            if answer.get("kind") != EntryKind.FILE:
                raise PayloadError(f"{found.path!r}: a hard link to no file before it")
        elif found.content is not None:
            size, sha256 = _keep(found.content, into / str(number), left)
            mode = 0o755 if found.executable else 0o644
            answer |= {"mode": mode, "size": size, "sha256": sha256, "content": str(number)}
        left -= answer["size"]
        if left < 0:
            raise PayloadError(f"more than {MAX_TREE_BYTES} bytes in all")
        files[found.path] = answer
        yield answer


def _keep(content: IO[bytes], file: Path, most: int) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with file.open("xb") as out:
        while step := content.read(STEP_BYTES):
            size += len(step)
            if size > most:
                raise PayloadError(f"more than {MAX_TREE_BYTES} bytes in all")
            digest.update(step)
            out.write(step)
    return size, digest.hexdigest()


# --- formats -----------------------------------------------------------------------------

_Reader = Callable[[IO[bytes]], Iterator[_Found]]
_Stream = IO[bytes] | gzip.GzipFile | lzma.LZMAFile | zstandard.ZstdDecompressionReader


def _reader_for(file: IO[bytes]) -> _Reader | None:
    """Return what reads that archive, by its first bytes; the file stays at its beginning."""
    start = file.read(512)
    file.seek(0)
    for magic, reader in _MAGICS:
        if start.startswith(magic):
            return reader
    return _read_tar if start[257:262] == b"ustar" else None


def _read_zip(file: IO[bytes]) -> Iterator[_Found]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # orig_filename: zipfile cuts the other one at a NUL.
            path = info.orig_filename
            mode = info.external_attr >> 16  # as Unix programs write it; 0 from others
            if path.endswith("/"):
                yield _Found(path=path.removesuffix("/"), kind=EntryKind.FOLDER)
            elif stat.S_ISLNK(mode):
                with archive.open(info) as content:
                    target = content.read(STEP_BYTES).decode()
                yield _Found(path=path, kind=EntryKind.LINK, target=target)
            elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                raise PayloadError(f"{path!r}: neither file, folder nor link")
            else:
                with archive.open(info) as content:
                    yield _Found(
                        path=path,
                        kind=EntryKind.FILE,
                        executable=bool(mode & 0o111),
                        content=content,
                    )


def _read_tar(file: _Stream) -> Iterator[_Found]:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if member.isdir():
                if path != ".":
                    yield _Found(path=path, kind=EntryKind.FOLDER)
            elif member.issym():
                yield _Found(path=path, kind=EntryKind.LINK, target=member.linkname)
            elif member.islnk():
                same_as = member.linkname.removeprefix("./")
                yield _Found(path=path, kind=EntryKind.FILE, same_as=same_as)
            elif member.isreg() and not member.issparse():
                yield _Found(
                    path=path,
                    kind=EntryKind.FILE,
                    executable=bool(member.mode & 0o111),
                    content=archive.extractfile(member),
                )
            else:
                raise PayloadError(f"{path!r}: neither file, folder nor link")


def _read_tar_gz(file: IO[bytes]) -> Iterator[_Found]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield from _read_tar(unpacked)


def _read_tar_xz(file: IO[bytes]) -> Iterator[_Found]:
    with lzma.LZMAFile(file) as unpacked:
        yield from _read_tar(unpacked)


def _read_tar_zst(file: IO[bytes]) -> Iterator[_Found]:
    decoder = zstandard.ZstdDecompressor(max_window_size=2**27)
    with decoder.stream_reader(file, read_across_frames=True) as unpacked:
        yield from _read_tar(unpacked)


_MAGICS: tuple[tuple[bytes, _Reader], ...] = (
    (b"PK\x03\x04", _read_zip),
    (b"\x1f\x8b", _read_tar_gz),
    (b"\xfd7zXZ\x00", _read_tar_xz),
    (b"\x28\xb5\x2f\xfd", _read_tar_zst),
)
