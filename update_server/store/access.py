"""Tokens, groups, enrolments, server secrets, and answers to repeated requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, select, update
from sqlalchemy.engine import Row

from update_server.service.ports import (
    ApiToken,
    Enrolment,
    EnrolmentCode,
    ExistsError,
    Group,
    NotFoundError,
    Role,
)
from update_server.store.rows import changed, insert_new, one, require_app
from update_server.store.tables import (
    codes,
    enrolments,
    groups,
    idempotent_answers,
    secrets,
    tokens,
)

# Nobody repeats a request after a day; a week leaves room for a script that hangs.
_IDEMPOTENT_FOR = timedelta(days=7)


class SqlAccess:
    """Access over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- tokens ---

    def add_token(self, token: ApiToken) -> None:
        """Store a token; raise ExistsError if its ID or its hash is taken."""
        if token.app is not None:
            require_app(self._connection, token.app)
        row = insert_new(
            self._connection,
            tokens,
            id=token.id,
            sha256=token.sha256,
            name=token.name,
            role=token.role,
            app=token.app,
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
            last_used_at=token.last_used_at,
        )
        if row is None:
            raise ExistsError("token", token.id)

    def token_by_hash(self, sha256: str) -> ApiToken:
        """Return the token, also one that is revoked or expired, or raise NotFoundError."""
        found = select(tokens).where(tokens.c.sha256 == sha256)
        return _token(one(self._connection, found, "token", sha256))

    def tokens(self) -> Sequence[ApiToken]:
        """Return all tokens, oldest first."""
        found = select(tokens).order_by(tokens.c.created_at, tokens.c.id)
        return [_token(row) for row in self._connection.execute(found)]

    def revoke_token(self, token_id: str, at: datetime) -> None:
        """Revoke a token. One that was revoked before stays as it is."""
        self._revoke(tokens, and_(tokens.c.id == token_id), at, "token", token_id)

    # --- groups ---

    def add_group(self, group: Group) -> None:
        """Store a group; raise ExistsError if the app has one of this name."""
        require_app(self._connection, group.app)
        row = insert_new(
            self._connection,
            groups,
            app=group.app,
            name=group.name,
            created_at=group.created_at,
        )
        if row is None:
            raise ExistsError("group", group.name)

    def groups(self, app: str) -> Sequence[Group]:
        """Return the groups of *app* with the number of their live members, by name."""
        members = (
            select(func.count())
            .where(
                enrolments.c.app == groups.c.app,
                enrolments.c.group_name == groups.c.name,
                enrolments.c.revoked_at.is_(None),
            )
            .scalar_subquery()
        )
        found = (
            select(groups, members.label("members"))
            .where(groups.c.app == app)
            .order_by(groups.c.name)
        )
        return [
            Group(app=row.app, name=row.name, created_at=row.created_at, members=row.members)
            for row in self._connection.execute(found)
        ]

    def remove_group(self, app: str, name: str, at: datetime) -> None:
        """Remove a group, and revoke its codes and enrolments."""
        this = delete(groups).where(groups.c.app == app, groups.c.name == name)
        if self._connection.execute(this).rowcount == 0:
            raise NotFoundError("group", name)
        for table in (codes, enrolments):
            self._connection.execute(
                update(table)
                .where(table.c.app == app, table.c.group_name == name)
                .where(table.c.revoked_at.is_(None))
                .values(revoked_at=at)
            )

    def _require_group(self, app: str, name: str) -> None:
        found = select(groups.c.name).where(groups.c.app == app, groups.c.name == name)
        one(self._connection, found, "group", name)

    # --- enrolment ---

    def add_code(self, code: EnrolmentCode) -> None:
        """Store a code for a group that exists; raise ExistsError if its ID or hash is taken."""
        self._require_group(code.app, code.group)
        row = insert_new(
            self._connection,
            codes,
            id=code.id,
            app=code.app,
            group_name=code.group,
            sha256=code.sha256,
            created_at=code.created_at,
            expires_at=code.expires_at,
            uses_left=code.uses_left,
            revoked_at=code.revoked_at,
        )
        if row is None:
            raise ExistsError("enrolment code", code.id)

    def codes(self, app: str) -> Sequence[EnrolmentCode]:
        """Return all codes of *app*, also those that are used up, oldest first."""
        found = select(codes).where(codes.c.app == app).order_by(codes.c.created_at, codes.c.id)
        return [_code(row) for row in self._connection.execute(found)]

    def use_code(self, app: str, sha256: str, now: datetime) -> EnrolmentCode:
        """Take one use from a code and return what is left of it.

        Raises:
            NotFoundError: There is no such code, or it is used up, expired or revoked.
        """
        row = self._connection.execute(
            update(codes)
            .where(
                codes.c.app == app,
                codes.c.sha256 == sha256,
                codes.c.uses_left > 0,
                codes.c.expires_at > now,
                codes.c.revoked_at.is_(None),
            )
            .values(uses_left=codes.c.uses_left - 1)
            .returning(*codes.c)
        ).one_or_none()
        if row is None:
            raise NotFoundError("enrolment code", sha256)
        return _code(row)

    def revoke_code(self, app: str, code_id: str, at: datetime) -> None:
        """Revoke a code. One that was revoked before stays as it is."""
        this = and_(codes.c.app == app, codes.c.id == code_id)
        self._revoke(codes, this, at, "enrolment code", code_id)

    def add_enrolment(self, enrolment: Enrolment) -> None:
        """Store a membership. An older one of the same install in this group is revoked.

        Raises:
            ExistsError: The credential is known already.
            NotFoundError: There is no such group.
        """
        self._require_group(enrolment.app, enrolment.group)
        self._connection.execute(
            update(enrolments)
            .where(
                enrolments.c.app == enrolment.app,
                enrolments.c.group_name == enrolment.group,
                enrolments.c.install_key == enrolment.install_key,
                enrolments.c.revoked_at.is_(None),
            )
            .values(revoked_at=enrolment.created_at)
        )
        row = insert_new(
            self._connection,
            enrolments,
            app=enrolment.app,
            group_name=enrolment.group,
            install_key=enrolment.install_key,
            sha256=enrolment.sha256,
            created_at=enrolment.created_at,
            revoked_at=enrolment.revoked_at,
        )
        if row is None:
            raise ExistsError("enrolment", enrolment.sha256)

    def enrolments(self, app: str) -> Sequence[Enrolment]:
        """Return the live memberships of *app*, oldest first."""
        found = (
            select(enrolments)
            .where(enrolments.c.app == app, enrolments.c.revoked_at.is_(None))
            .order_by(enrolments.c.number)
        )
        return [_enrolment(row) for row in self._connection.execute(found)]

    def enrolments_of(self, app: str, install_key: bytes) -> Sequence[Enrolment]:
        """Return the live memberships of one install, oldest first."""
        c = enrolments.c
        found = (
            select(enrolments)
            .where(c.app == app, c.install_key == install_key, c.revoked_at.is_(None))
            .order_by(c.number)
        )
        return [_enrolment(row) for row in self._connection.execute(found)]

    def _revoke(self, table: Table, this: Any, at: datetime, kind: str, key: str) -> None:
        live = update(table).where(this, table.c.revoked_at.is_(None)).values(revoked_at=at)
        if not changed(self._connection, live):
            one(self._connection, select(table.c.id).where(this), kind, key)

    # --- secrets and repeated requests ---

    def secret(self, name: str) -> bytes:
        """Return a secret of the server's, or raise NotFoundError."""
        found = select(secrets.c.value).where(secrets.c.name == name)
        return bytes(one(self._connection, found, "secret", name).value)

    def add_secret(self, name: str, value: bytes) -> bytes:
        """Store a secret unless there is one of this name; return the one that is stored."""
        insert_new(self._connection, secrets, name=name, value=value)
        return self.secret(name)

    def idempotent(self, key: str) -> bytes | None:
        """Return the answer given to the request called *key*, if there was one."""
        found = select(idempotent_answers.c.answer).where(idempotent_answers.c.key == key)
        return self._connection.execute(found).scalar_one_or_none()

    def remember_idempotent(self, key: str, answer: bytes, now: datetime) -> None:
        """Remember the answer to a request for a week. The first answer stays."""
        table = idempotent_answers
        self._connection.execute(delete(table).where(table.c.created_at < now - _IDEMPOTENT_FOR))
        insert_new(self._connection, table, key=key, answer=answer, created_at=now)


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        sha256=row.sha256,
        name=row.name,
        role=Role(row.role),
        app=row.app,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


def _code(row: Row[Any]) -> EnrolmentCode:
    return EnrolmentCode(
        id=row.id,
        app=row.app,
        group=row.group_name,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        uses_left=row.uses_left,
        revoked_at=row.revoked_at,
    )


def _enrolment(row: Row[Any]) -> Enrolment:
    return Enrolment(
        app=row.app,
        group=row.group_name,
        install_key=row.install_key,
        sha256=row.sha256,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
