"""The append-only record of every write, chained by hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from update_server.service.ports import AuditRecord, ChangedError
from update_server.service.ports.audit import GENESIS, Link
from update_server.store.columns import canonical
from update_server.store.tables import audit

_PAGE = 1_000  # records held in memory while the chain is checked


class SqlAudit:
    """The audit over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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
    ) -> AuditRecord:
        """Append a record and return it, chained to the one before."""
        newest = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
        # No other writer can append in between: writers take turns (store.engine).
        last = self._connection.execute(newest).one_or_none()
        values: dict[str, Any] = {
            "seq": 1 if last is None else last.seq + 1,
            "at": at.astimezone(UTC),
            "actor": actor,
            "action": action,
            "app": app,
            "subject": subject,
            "reason": reason,
            "before": dict(before or {}),
            "after": dict(after or {}),
            "previous_hash": GENESIS if last is None else last.hash,
        }
        values["hash"] = chain_hash(values)
        self._connection.execute(insert(audit).values(values))
        return AuditRecord(**values)

    def page(
        self, *, app: str | None, before_seq: int | None, limit: int, subject: str | None = None
    ) -> Sequence[AuditRecord]:
        """Return up to *limit* records (of one app, of one subject, or all), newest first."""
        found = select(audit).order_by(audit.c.seq.desc()).limit(limit)
        if app is not None:
            found = found.where(audit.c.app == app)
        if subject is not None:
            found = found.where(audit.c.subject == subject)
        if before_seq is not None:
            found = found.where(audit.c.seq < before_seq)
        return [_record(row) for row in self._connection.execute(found)]

    def verify(self) -> int:
        """Return the number of records, all of which are in order.

        A record cut off the end cannot be seen here; compare with a hash kept elsewhere.

        Raises:
            ChangedError: A record was changed or removed; ``key`` is the first wrong one's seq.
        """
        in_order = select(audit).order_by(audit.c.seq).execution_options(yield_per=_PAGE)
        with self._connection.execute(in_order) as found:
            return _last_of(found, Link()).seq

    def verified(self, since: Link, most: int) -> Link:
        """Return the last of up to *most* records after *since*; see ``verify``."""
        found = select(audit).where(audit.c.seq > since.seq).order_by(audit.c.seq).limit(most)
        return _last_of(self._connection.execute(found), since)


def _last_of(found: Iterable[Row[Any]], since: Link) -> Link:
    """Return the last of the records in *found*, each of which is chained to the one before."""
    last = since
    for row in found:
        values = dict(row._mapping)  # noqa: SLF001 - its public name in SQLAlchemy
        stated = values.pop("hash")
        linked = row.seq == last.seq + 1 and row.previous_hash == last.hash
        if not linked or chain_hash(values) != stated:
            raise ChangedError("audit record", str(row.seq))
        last = Link(seq=row.seq, hash=stated)
    return last


def chain_hash(values: Mapping[str, Any]) -> str:
    """Return the hash of a record's fields, its own hash not among them."""
    stated = {**values, "at": values["at"].isoformat()}
    return hashlib.sha256(canonical(stated).encode("ascii")).hexdigest()


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(**row._mapping)  # noqa: SLF001 - its public name in SQLAlchemy
