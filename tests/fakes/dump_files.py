"""Minidumps in memory, until somebody reads them."""

from __future__ import annotations

import hashlib

from update_server.service.ports import UnavailableError


class FakeDumpFiles:
    """See service.reports.DumpFiles. ``full`` lets it refuse."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.full = False

    def keep(self, data: bytes) -> str:
        if self.full:
            raise UnavailableError("the disk is full")
        name = hashlib.sha256(data).hexdigest()
        self.kept[name] = data
        return name
