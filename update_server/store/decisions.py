"""Decision records, and which of them are still to be carried out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, union_all, update
from sqlalchemy.engine import Row

from rollout.model import RolloutId
from update_server.service.ports import ExistsError
from update_server.service.ports.studies import StoredDecision
from update_server.store.rows import changed, chunks, insert_new, one
from update_server.store.tables import decisions

_PARTS = 200  # of a union: SQLite refuses more than 500
_NAMES = [field.name for field in fields(StoredDecision)]


class SqlDecisions:
    """Decisions over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, decision: StoredDecision) -> StoredDecision:
        """Store a decision and return it with its number; raise ExistsError for a known ID."""
        values = {name: getattr(decision, name) for name in _NAMES if name != "number"}
        row = insert_new(self._connection, decisions, **values)
        if row is None:
            raise ExistsError("decision", decision.id)
        return _decision(row)

    def get(self, decision_id: str) -> StoredDecision:
        """Return the decision, or raise NotFoundError."""
        found = select(decisions).where(decisions.c.id == decision_id)
        return _decision(one(self._connection, found, "decision", decision_id))

    def page(
        self, app: str, *, rollout: RolloutId | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredDecision]:
        """Return up to *limit* decisions made before the one of number *before*, newest first."""
        found = select(decisions).where(decisions.c.app == app)
        if rollout is not None:
            found = found.where(decisions.c.rollout == rollout)
        if before is not None:
            found = found.where(decisions.c.number < before)
        newest = found.order_by(decisions.c.number.desc()).limit(limit)
        return [_decision(row) for row in self._connection.execute(newest)]

    def newest(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredDecision]:
        """Return the newest decision about each of *rollouts*, where there is one."""
        newest: dict[RolloutId, StoredDecision] = {}
        for some in chunks(rollouts, _PARTS):
            # One look-up by the index for each: of the others, however many, none is read.
            last = (
                select(func.max(decisions.c.number)).where(decisions.c.rollout == rollout)
                for rollout in some
            )
            found = select(decisions).where(decisions.c.number.in_(union_all(*last)))
            for decision in map(_decision, self._connection.execute(found)):
                newest[decision.rollout] = decision
        return newest

    def of_verdicts(
        self, rollouts: Collection[RolloutId], verdicts: Collection[str], limit: int
    ) -> Sequence[StoredDecision]:
        """Return up to *limit* decisions with one of *verdicts*, oldest first."""
        found = (
            select(decisions)
            .where(decisions.c.rollout.in_(rollouts), decisions.c.verdict.in_(verdicts))
            .order_by(decisions.c.number)
            .limit(limit)
        )
        return [_decision(row) for row in self._connection.execute(found)]

    def undone(self) -> Sequence[StoredDecision]:
        """Return the decisions that were not carried out yet, oldest first."""
        found = (
            select(decisions)
            .where(decisions.c.carried_out_at.is_(None))
            .order_by(decisions.c.number)
        )
        return [_decision(row) for row in self._connection.execute(found)]

    def mark_done(self, decision_id: str, at: datetime, outcome: str) -> None:
        """Note that a decision was carried out, unless that was noted before."""
        this = decisions.c.id == decision_id
        done = (
            update(decisions)
            .where(this, decisions.c.carried_out_at.is_(None))
            .values(carried_out_at=at, outcome=outcome)
        )
        if not changed(self._connection, done):
            self.get(decision_id)

    def note(self, decision_id: str, outcome: str) -> None:
        """Note why a decision is not carried out yet, unless it is."""
        this = decisions.c.id == decision_id
        self._connection.execute(
            update(decisions)
            .where(this, decisions.c.carried_out_at.is_(None))
            .values(outcome=outcome)
        )

    def contest(self, decision_id: str) -> None:
        """Say in its record that it no longer stands on what was reported."""
        record = {**self.get(decision_id).record, "contested": True}
        this = decisions.c.id == decision_id
        self._connection.execute(update(decisions).where(this).values(record=record))


def _decision(row: Row[Any]) -> StoredDecision:
    values = {name: getattr(row, name) for name in _NAMES}
    return StoredDecision(**{**values, "rollout": RolloutId(row.rollout)})
