"""Minidumps between intake and the digest: their files, and who reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFrame:
    """One frame of the thread that crashed, as ``crashes.report.Frame`` has it."""

    module: str
    in_app: bool | None
    offset: int | None
    debug_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpReport:
    """What a minidump says: see ``crashes.minidump.Dump``. Frames are innermost first."""

    error: str
    frames: tuple[DumpFrame, ...]
    os: str
    arch: str
    is_crash: bool
    main_module: str
    main_debug_id: str
    annotations: Mapping[str, str]


class DumpReader(Protocol):
    """Reads minidumps, which anybody may have made, where they can do no harm."""

    def read(self, data: bytes) -> DumpReport | None: ...  # None: nobody can; never an error
    def close(self) -> None: ...  # and what it needs is taken up again by the next ``read``


class DumpFiles(Protocol):
    """The bytes of minidumps that wait for the digest."""

    def keep(self, data: bytes) -> str: ...  # its name; durable on return; UnavailableError
    def read(self, name: str) -> bytes: ...  # NotFoundError
    def size_bytes(self) -> int: ...  # of all that are kept
    def drop(self, names: Iterable[str]) -> None: ...  # those that are gone are passed over
    def sweep(self, now: datetime, older_than: timedelta) -> int: ...  # how many it dropped
