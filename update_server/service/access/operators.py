"""Operators: people who sign in to the pages, and what an admin does about them.

Not here: signing in (``service.access.sign_in``), and what people do about their own password
(``service.access.own_password``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from update_server.service.access.caller import Caller
from update_server.service.access.passwords import check_new_password
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.errors import BadValueError
from update_server.service.ports import Clock, Database, Ids, NotFoundError, Role, Stores
from update_server.service.ports.access import person_called, shows_nothing
from update_server.service.ports.operators import PREFIX, Operator, PasswordLink
from update_server.service.ports.passwords import Passwords

LINK_LIFE: Final = timedelta(hours=24)

_MAX_NAME: Final = 64
_MAX_IDENTITY: Final = 255
_MARKS: Final = " ._-'@+"
_TAKEN: Final = frozenset({"serinus", "somebody"})


class Operators:
    """Operators. A link that sets a password is shown once, and only its hash is kept."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, passwords: Passwords) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._passwords = passwords

    def all(self, app: str | None) -> Sequence[Operator]:
        """Return those of *app*, or all (None), who were not removed, by name."""
        with self._database.reading() as stores:
            found = stores.operators.all()
        mine = [each for each in found if not each.removed_at and (app is None or each.app == app)]
        return sorted(mine, key=lambda each: each.person)

    def add(
        self,
        caller: Caller,
        name: str,
        role: Role,
        app: str | None,
        *,
        identity: str | None = None,
        first_password: str | None = None,
    ) -> tuple[Operator, str]:
        """Take somebody in; return them, and the secret of the link that sets their password.

        With a *first_password*, which must be changed at the first sign-in, there is no link.

        Raises:
            BadValueError: The name, the identity or the password cannot be one.
            ExistsError: Somebody has this name or this identity.
            NotFoundError: There is no such app.
        """
        now = self._clock.now()
        stored = None
        check_name(name)
        if first_password is not None:
            stored = self._passwords.hashed(check_new_password(first_password, name))
        operator = Operator(
            id=self._ids.short_id(PREFIX),
            name=name,
            role=role,
            app=app,
            created_at=now,
            identity=None if identity is None else checked_identity(identity),
            password=stored,
            password_set_at=None if stored is None else now,
            must_change=stored is not None,
        )
        with self._database.transaction() as stores:
            if app is not None:
                stores.apps.get(app)
            stores.operators.add(operator)
            self._audit(stores, caller, "add", operator, name=name, role=role.value)
            secret = "" if stored else self._link(stores, operator)
        return operator, secret

    def change(self, caller: Caller, operator_id: str, role: Role) -> Operator:
        """Give somebody another role, which ends their sessions. The same role changes nothing.

        Raises:
            NotFoundError: There is no such operator, or they are not of the caller's app.
        """
        with self._database.transaction() as stores:
            operator = _of(stores, operator_id, caller)
            if operator.role is role:
                return operator
            changed = replace(operator, role=role)
            stores.operators.update(changed)
            stores.operators.end_sessions(operator_id)
            stores.audit.append(
                at=self._clock.now(),
                actor=caller.name,
                action="operator.role",
                app=operator.app,
                subject=operator.id,
                before={"name": operator.name, "role": operator.role.value},
                after={"name": operator.name, "role": role.value},
            )
            return changed

    def reset(self, caller: Caller, operator_id: str) -> tuple[Operator, str]:
        """Take somebody's password away; return them, and the secret of a link to set another.

        Their sessions end. Raises NotFoundError as ``change``.
        """
        with self._database.transaction() as stores:
            operator = replace(
                _of(stores, operator_id, caller),
                password=None,
                password_set_at=None,
                must_change=False,
            )
            stores.operators.update(operator)
            stores.operators.end_sessions(operator_id)
            self._audit(stores, caller, "link", operator, name=operator.name)
            return operator, self._link(stores, operator)

    def remove(self, caller: Caller, operator_id: str) -> None:
        """Let somebody in no more. Raises NotFoundError as ``change``."""
        now = self._clock.now()
        with self._database.transaction() as stores:
            operator = _of(stores, operator_id, caller)
            gone = replace(_without_password(operator), identity=None, removed_at=now)
            stores.operators.update(gone)
            stores.operators.end_sessions(operator_id)
            stores.operators.drop_link(operator_id)
            self._audit(stores, caller, "remove", operator, name=operator.name)

    def _link(self, stores: Stores, operator: Operator) -> str:
        return new_link(stores, self._clock, self._ids, operator, LINK_LIFE)

    def _audit(
        self, stores: Stores, caller: Caller, action: str, operator: Operator, **after: str
    ) -> None:
        stores.audit.append(
            at=self._clock.now(),
            actor=caller.name,
            action=f"operator.{action}",
            app=operator.app,
            subject=operator.id,
            after=after,
        )


def new_link(stores: Stores, clock: Clock, ids: Ids, operator: Operator, life: timedelta) -> str:
    """Store a link that sets a password, in place of the last one; return its secret."""
    now, secret = clock.now(), ids.secret("set_")  # a path that begins with a letter
    stores.operators.put_link(
        PasswordLink(
            operator_id=operator.id,
            sha256=hash_of_secret(secret),
            created_at=now,
            expires_at=now + life,
        )
    )
    return secret


def check_name(name: str) -> None:
    """Return if somebody may be called *name*. Raises BadValueError.

    Letters of any script, so that people have their own name; but nothing that a terminal or a
    log line would take for something else, that shows nothing, or by which the audit log calls
    the server itself and strangers. Letters of two scripts may look alike all the same.
    """
    is_plain = all(
        character in _MARKS or unicodedata.category(character)[0] in "LM" or character.isdecimal()
        for character in name
    ) and not any(shows_nothing(character) for character in name)
    if person_called(name) in _TAKEN:
        raise BadValueError("name", "is what the audit log calls the server, or strangers")
    spelt_so = unicodedata.normalize("NFKC", name) == name == " ".join(name.split())
    if not 1 <= len(name) <= _MAX_NAME or not is_plain or not spelt_so or not name[0].isalnum():
        allowed = f"1 to {_MAX_NAME} letters and digits, with {_MARKS.strip()} or spaces between"
        raise BadValueError("name", allowed)


def checked_identity(identity: str) -> str:
    """Return *identity* as it is kept: mail addresses in small letters. Raises BadValueError."""
    if not 1 <= len(identity) <= _MAX_IDENTITY or not identity.isascii() or " " in identity:
        raise BadValueError("identity", f"1 to {_MAX_IDENTITY} ASCII characters, without spaces")
    if not identity.isprintable():
        raise BadValueError("identity", "has characters that cannot be seen")
    return identity.lower() if "@" in identity else identity


def _without_password(operator: Operator) -> Operator:
    return replace(operator, password=None, password_set_at=None, must_change=False)


def _of(stores: Stores, operator_id: str, caller: Caller) -> Operator:
    operator = stores.operators.get(operator_id)
    if operator.removed_at or caller.app not in {None, operator.app}:
        raise NotFoundError("operator", operator_id)
    return operator
