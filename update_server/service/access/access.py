"""Who may do what: API tokens, groups of installs, and codes to enrol in them.

Not here: trading a code for a credential (``service.agents.enrol``), and reading a token off a
request (``web.auth``).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from update_server.service.access.caller import Caller
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.errors import BadApiTokenError, BadValueError
from update_server.service.ports import (
    ApiToken,
    Clock,
    Database,
    EnrolmentCode,
    Group,
    Ids,
    NotFoundError,
    Role,
    Stores,
)

# Roles in order: each may do what the ones before it may.
_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


def allows(role: Role, needed: Role) -> bool:
    """Whether a token of *role* may do what *needed* may."""
    return _RANKS[role] >= _RANKS[needed]


class Tokens:
    """API tokens of the admin app. A secret is shown once, and only its hash is kept."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def authenticate(self, secret: str) -> ApiToken:
        """Return the live token that *secret* is. Writes nothing.

        Raises:
            BadApiTokenError: There is none.
        """
        sha256 = hash_of_secret(secret)
        try:
            with self._database.reading() as stores:
                token = stores.access.token_by_hash(sha256)
        except NotFoundError as error:
            raise BadApiTokenError from error
        # The look-up compares hashes, whose timing tells nothing of the secret; this guards
        # against a look-up that folds case or matches a prefix.
        if not hmac.compare_digest(token.sha256, sha256) or not token.is_live(self._clock.now()):
            raise BadApiTokenError
        return token

    def issue(
        self, caller: Caller, name: str, role: Role, app: str | None, expires_in_seconds: int | None
    ) -> tuple[ApiToken, str]:
        """Make a token for one app, or for all (None); return it with its secret."""
        now = self._clock.now()
        secret = self._ids.secret("srn_")
        token = ApiToken(
            id=self._ids.short_id("tok_"),
            sha256=hash_of_secret(secret),
            name=name,
            role=role,
            app=app,
            created_at=now,
            expires_at=_later(now, expires_in_seconds),
        )
        with self._database.transaction() as stores:
            if app is not None:
                stores.apps.get(app)
            stores.access.add_token(token)
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="token.issue",
                app=app,
                subject=token.id,
                after={"name": name, "role": role.value},
            )
        return token, secret

    def all(self, app: str | None) -> Sequence[ApiToken]:
        """Return the tokens of *app*, or every token (None), newest first."""
        with self._database.reading() as stores:
            tokens = stores.access.tokens()
        mine = [token for token in tokens if app is None or token.app == app]
        return sorted(mine, key=lambda token: (token.created_at, token.id), reverse=True)

    def revoke(self, caller: Caller, token_id: str) -> None:
        """End a token. It may be one that has ended already.

        Raises:
            NotFoundError: There is none, or it is not of the caller's app.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            token = _token_of(stores, token_id, caller.app)
            if token.revoked_at is not None:
                return
            stores.access.revoke_token(token_id, now)
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="token.revoke",
                app=token.app,
                subject=token_id,
                before={"name": token.name, "role": token.role.value},
            )


class Groups:
    """Groups of installs, and the codes that let installs into them."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def all(self, app: str) -> Sequence[Group]:
        """Return the groups of *app*, by name."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return sorted(stores.access.groups(app), key=lambda group: group.name)

    def add(self, caller: Caller, app: str, name: str) -> tuple[Group, bool]:
        """Make a group; return it, and whether it is new."""
        now = self._clock.now()
        with self._database.transaction() as stores:
            stores.apps.get(app)
            for group in stores.access.groups(app):
                if group.name == name:
                    return group, False
            group = Group(app=app, name=name, created_at=now)
            stores.access.add_group(group)
            stores.audit.append(
                at=now, actor=caller.name, action="group.add", app=app, subject=name
            )
        return group, True

    def remove(self, caller: Caller, app: str, name: str) -> None:
        """Remove a group and end every membership of it."""
        now = self._clock.now()
        with self._database.transaction() as stores:
            stores.apps.get(app)
            members = [group.members for group in stores.access.groups(app) if group.name == name]
            stores.access.remove_group(app, name, now)
            stores.apps.bump(app)  # check-ins must forget the credentials
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="group.remove",
                app=app,
                subject=name,
                before={"members": sum(members)},
            )

    def codes(self, app: str) -> Sequence[EnrolmentCode]:
        """Return the enrolment codes of *app*, newest first."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            codes = stores.access.codes(app)
        return sorted(codes, key=lambda code: (code.created_at, code.id), reverse=True)

    def issue_code(
        self, caller: Caller, app: str, group: str, uses: int, expires_in_seconds: int
    ) -> tuple[EnrolmentCode, str]:
        """Make a code that lets *uses* installs into *group*; return it with its secret.

        Raises:
            BadValueError: There is no such group.
        """
        now = self._clock.now()
        secret = self._ids.secret("enrol_")
        code = EnrolmentCode(
            id=self._ids.short_id("en_"),
            app=app,
            group=group,
            sha256=hash_of_secret(secret),
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_seconds),
            uses_left=uses,
        )
        with self._database.transaction() as stores:
            stores.apps.get(app)
            if group not in {known.name for known in stores.access.groups(app)}:
                raise BadValueError("group", f"there is no group {group!r}: add it first")
            stores.access.add_code(code)
            stores.audit.append(
                at=now,
                actor=caller.name,
                action="enrolment.issue",
                app=app,
                subject=code.id,
                after={"group": group, "uses": uses},
            )
        return code, secret

    def revoke_code(self, caller: Caller, app: str, code_id: str) -> None:
        """End a code. Installs that used it stay members."""
        now = self._clock.now()
        with self._database.transaction() as stores:
            stores.apps.get(app)
            stores.access.revoke_code(app, code_id, now)
            stores.audit.append(
                at=now, actor=caller.name, action="enrolment.revoke", app=app, subject=code_id
            )


def _token_of(stores: Stores, token_id: str, app: str | None) -> ApiToken:
    for token in stores.access.tokens():
        if token.id == token_id and (app is None or token.app == app):
            return token
    raise NotFoundError("token", token_id)


def _later(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
