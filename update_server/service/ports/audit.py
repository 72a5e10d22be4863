"""The append-only record of who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what, why, and what it changed. ``hash`` chains to the record before.

    ``before`` and ``after`` are small JSON objects. Rows are never changed or removed.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    app: str | None
    subject: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    previous_hash: str
    hash: str


GENESIS: Final = "0" * 64
"""What stands in the first record in place of the hash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A record of the chain: its number, and its hash. The default is what is before the first."""

    seq: int = 0
    hash: str = GENESIS


class Audit(Protocol):
    """The append-only, hash-chained record of every write."""

    def append(
        self,
        *,
        at: datetime,
        actor: str,
        action: str,
        app: str | None,
        subject: str,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRecord: ...
    # newest first; *subject* None: whatever they are about
    def page(
        self, *, app: str | None, before_seq: int | None, limit: int, subject: str | None = None
    ) -> Sequence[AuditRecord]: ...
    def verify(self) -> int: ...  # number of records; raises ChangedError at the broken one
    # the last of up to *most* records after *since*, which are in order; else raises as verify
    def verified(self, since: Link, most: int) -> Link: ...
