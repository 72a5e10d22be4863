"""Minidumps in memory, until somebody reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from update_server.service.ports import NotFoundError, UnavailableError
from update_server.service.ports.dumps import DumpReport


class FakeDumpFiles:
    """See service.ports.dumps.DumpFiles. ``full`` lets it refuse; ``old`` are names of old ones."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.old: set[str] = set()
        self.full = False

    def keep(self, data: bytes) -> str:
        if self.full:
            raise UnavailableError("the disk is full")
        name = hashlib.sha256(data).hexdigest()
        self.kept[name] = data
        return name

    def read(self, name: str) -> bytes:
        if name not in self.kept:
            raise NotFoundError("minidump", name)
        return self.kept[name]

    def size_bytes(self) -> int:
        return sum(map(len, self.kept.values()))

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.kept.pop(name, None)

    def sweep(self, _now: datetime, _older_than: timedelta) -> int:
        orphans = self.old & self.kept.keys()
        self.drop(orphans)
        return len(orphans)


class FakeDumpReader:
    """See service.ports.dumps.DumpReader. It knows what ``reports`` say of the bytes of dumps."""

    def __init__(self) -> None:
        self.reports: dict[bytes, DumpReport] = {}
        self.is_closed = False

    def read(self, data: bytes) -> DumpReport | None:
        return self.reports.get(data)

    def close(self) -> None:
        self.is_closed = True
