"""The digest's side of all spools: reading them, and removing those of dead processes."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from update_server.service.ports import Contact, Event, NotFoundError
from update_server.spool.folder import SUFFIX, sync_folder
from update_server.spool.records import Found, Halt, unpack

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CHUNK_BYTES = 1 << 20


class FileSpoolReader:
    """All spools in *folder*. One digest reads them at a time, in whichever process.

    ``skipped_records`` counts records of kinds or shapes that this version does not know.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Up to where each spool was read when it held nothing more.
        self._drained: dict[str, int] = {}
        self.skipped_records = 0

    def spools(self) -> Sequence[str]:
        """Return the names of all spools; the files of one process in their order."""
        return sorted(path.stem for path in self._folder.glob(f"[!.]*{SUFFIX}"))

    def read(
        self, spool: str, offset_bytes: int, limit: int
    ) -> tuple[Sequence[Contact | Event], int]:
        """Return up to *limit* records from *offset_bytes* on, and where they end.

        Reading ends without an error at a record that is not whole: it is being written, or
        was never acknowledged. A spool that is gone holds nothing.
        """
        records: list[Contact | Event] = []
        end = offset_bytes
        try:
            file = self._path(spool).open("rb")
        except FileNotFoundError:
            return records, end
        with file:
            for found in _walk(file, offset_bytes):
                end = found.end
                if found.value is None:
                    self.skipped_records += 1
                else:
                    records.append(found.value)
                if len(records) >= limit:
                    break
        if records:
            self._drained.pop(spool, None)
        else:
            self._drained[spool] = end
        return records, end

    def size_bytes(self, spool: str) -> int:
        """Return the length of a spool, in which offsets count; 0 if it is gone."""
        try:
            return self._path(spool).stat().st_size
        except FileNotFoundError:
            return 0

    def retire(self, spool: str) -> bool:
        """Remove a spool whose process is done with it; return whether it is gone.

        Call this after a ``read`` from the committed checkpoint found nothing more: a spool
        that was not read to its end stays. An end that cannot be read was never acknowledged
        and goes too; but if it looks like damage, it is set aside as ``<spool>.damaged``.
        """
        path = self._path(spool)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            self._drained.pop(spool, None)
            return True
        with file:
            if spool not in self._drained:
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # The process may have written its last records after our last read.
            rest = _first(file, self._drained.pop(spool))
            if isinstance(rest, Found):
                return False
            if rest is Halt.DAMAGED:
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink()
            # Its process may have died before it took away the name that it began the file by.
            path.with_name(f".{path.name}").unlink(missing_ok=True)
        sync_folder(self._folder)
        return True

    def _path(self, spool: str) -> Path:
        if not _NAME.fullmatch(spool):
            raise NotFoundError("spool", spool)
        return self._folder / f"{spool}{SUFFIX}"


def _walk(file: BinaryIO, offset_bytes: int) -> Iterator[Found]:
    """Yield the whole records from *offset_bytes* on; their ends count from the file's start."""
    file.seek(offset_bytes)
    data, base, start = b"", offset_bytes, 0
    while True:
        found = unpack(data, start)
        if isinstance(found, Found):
            start = found.end
            yield Found(value=found.value, end=base + start)
            continue
        more = file.read(_CHUNK_BYTES) if found is Halt.END else b""
        if not more:
            return
        data, base, start = data[start:] + more, base + start, 0


def _first(file: BinaryIO, offset_bytes: int) -> Found | Halt:
    file.seek(offset_bytes)
    return unpack(file.read(), 0)
