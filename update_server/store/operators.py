"""Operators, the links that set their passwords, their sessions, and failures to sign in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from update_server.service.ports import ExistsError, NotFoundError, Role
from update_server.service.ports.access import person_called
from update_server.service.ports.operators import (
    IDLE,
    LONGEST,
    Failures,
    Operator,
    PasswordLink,
    Session,
    SignedInBy,
)
from update_server.store.rows import changed, insert_new, one, require_app, upsert
from update_server.store.tables import (
    operator_links,
    operator_sessions,
    operators,
    sign_in_failures,
)

_LIVE = operators.c.removed_at.is_(None)


class SqlOperators:
    """Operators over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- operators ---

    def add(self, operator: Operator) -> None:
        """Store an operator; raise ExistsError if the ID, name or identity is taken."""
        if operator.app is not None:
            require_app(self._connection, operator.app)
        if insert_new(self._connection, operators, **_columns(operator)) is None:
            raise ExistsError("operator", operator.name)

    def update(self, operator: Operator) -> None:
        """Replace the operator of this ID; raise NotFoundError, or ExistsError as ``add``."""
        this = update(operators).where(operators.c.id == operator.id).values(**_columns(operator))
        try:
            with self._connection.begin_nested():
                found = changed(self._connection, this)
        except IntegrityError as error:
            raise ExistsError("operator", operator.name) from error
        if not found:
            raise NotFoundError("operator", operator.id)

    def get(self, operator_id: str) -> Operator:
        """Return the operator, also one who was removed, or raise NotFoundError."""
        return self._one(operators.c.id == operator_id, operator_id)

    def named(self, name: str) -> Operator:
        """Return the operator of this name, however it is spelt, or raise NotFoundError."""
        return self._one((operators.c.person == person_called(name)) & _LIVE, name)

    def identified(self, identity: str) -> Operator:
        """Return the operator whom the provider calls *identity*, or raise NotFoundError."""
        return self._one((operators.c.identity == identity) & _LIVE, identity)

    def all(self) -> Sequence[Operator]:
        """Return all operators, also removed ones, oldest first."""
        found = select(operators).order_by(operators.c.created_at, operators.c.id)
        return [_operator(row) for row in self._connection.execute(found)]

    def _one(self, this: ColumnElement[bool], key: str) -> Operator:
        return _operator(one(self._connection, select(operators).where(this), "operator", key))

    # --- links ---

    def put_link(self, link: PasswordLink) -> None:
        """Store a link in place of the operator's other."""
        self.drop_link(link.operator_id)
        self._connection.execute(
            insert(operator_links).values(
                operator=link.operator_id,
                sha256=link.sha256,
                created_at=link.created_at,
                expires_at=link.expires_at,
            )
        )

    def link(self, sha256: str, now: datetime) -> PasswordLink:
        """Return the link if it has not expired, or raise NotFoundError."""
        table = operator_links
        found = select(table).where(table.c.sha256 == sha256, table.c.expires_at > now)
        row = one(self._connection, found, "password link", sha256)
        return PasswordLink(
            operator_id=row.operator,
            sha256=row.sha256,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )

    def drop_link(self, operator_id: str) -> bool:
        """Remove the operator's link; return whether there was one."""
        this = delete(operator_links).where(operator_links.c.operator == operator_id)
        return self._connection.execute(this).rowcount > 0

    # --- sessions ---

    def add_session(self, session: Session) -> None:
        """Store a session."""
        self._connection.execute(
            insert(operator_sessions).values(
                sha256=session.sha256,
                operator=session.operator_id,
                created_at=session.created_at,
                seen_at=session.seen_at,
                signed_in_by=session.by,
            )
        )

    def session(self, sha256: str) -> tuple[Session, Operator]:
        """Return a session and whose it is, whether it is live or not, or raise NotFoundError."""
        table = operator_sessions
        found = (
            select(
                table.c.sha256,
                table.c.operator,
                table.c.created_at.label("began_at"),
                table.c.seen_at,
                table.c.signed_in_by,
                operators,
            )
            .join_from(table, operators, operators.c.id == table.c.operator)
            .where(table.c.sha256 == sha256)
        )
        row = one(self._connection, found, "session", sha256)
        session = Session(
            sha256=row.sha256,
            operator_id=row.operator,
            created_at=row.began_at,
            seen_at=row.seen_at,
            by=SignedInBy(row.signed_in_by),
        )
        return session, _operator(row)

    def touch_session(self, sha256: str, at: datetime) -> None:
        """Note that a session was used. One that has ended stays so."""
        table = operator_sessions
        self._connection.execute(update(table).where(table.c.sha256 == sha256).values(seen_at=at))

    def end_session(self, sha256: str) -> None:
        """End a session, if there is one."""
        table = operator_sessions
        self._connection.execute(delete(table).where(table.c.sha256 == sha256))

    def end_sessions(self, operator_id: str, *, but: str | None = None) -> int:
        """End all of an operator's sessions but the one of the hash *but*; return how many."""
        table = operator_sessions
        these = delete(table).where(table.c.operator == operator_id)
        if but is not None:
            these = these.where(table.c.sha256 != but)
        return self._connection.execute(these).rowcount

    def forget_sessions(self, now: datetime) -> None:
        """Remove the sessions that have ended by themselves."""
        table = operator_sessions
        idle, old = table.c.seen_at <= now - IDLE, table.c.created_at <= now - LONGEST
        self._connection.execute(delete(table).where(idle | old))

    # --- failures ---

    def failures(self, keys: Iterable[str]) -> Mapping[str, Failures]:
        """Return what is known of *keys*, by key."""
        table = sign_in_failures
        columns = (table.c.key, table.c.count, table.c.last_at, table.c.until)
        found = select(*columns).where(table.c.key.in_(tuple(keys)))
        return {
            key: Failures(key=key, count=count, last_at=last_at, until=until)
            for key, count, last_at, until in self._connection.execute(found)
        }

    def put_failures(self, failures: Failures) -> None:
        """Add or replace what is known of a key."""
        values = {"count": failures.count, "last_at": failures.last_at, "until": failures.until}
        statement = upsert(self._connection, sign_in_failures).values(key=failures.key, **values)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["key"], set_=values)
        )

    def clear_failures(self, key: str) -> None:
        """Forget a key."""
        table = sign_in_failures
        self._connection.execute(delete(table).where(table.c.key == key))

    def forget_failures(self, before: datetime) -> None:
        """Forget the keys whose last failure was before."""
        table = sign_in_failures
        self._connection.execute(delete(table).where(table.c.last_at < before))


def _columns(operator: Operator) -> dict[str, Any]:
    return {
        "id": operator.id,
        "name": operator.name,
        "person": operator.person,
        "role": operator.role,
        "app": operator.app,
        "created_at": operator.created_at,
        "identity": operator.identity,
        "password": operator.password,
        "password_set_at": operator.password_set_at,
        "must_change": operator.must_change,
        "removed_at": operator.removed_at,
    }


def _operator(row: Row[Any]) -> Operator:
    return Operator(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        app=row.app,
        created_at=row.created_at,
        identity=row.identity,
        password=row.password,
        password_set_at=row.password_set_at,
        must_change=row.must_change,
        removed_at=row.removed_at,
    )
