"""People who sign in to the pages: operators, their sessions, and how often it went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from update_server.service.ports.access import Role, person_called

PREFIX: Final = "op_"
"""How an operator's ID begins: no token's does."""


class SignedInBy(StrEnum):
    """What somebody showed in order to sign in."""

    PASSWORD = "password"  # noqa: S105 - a word
    OIDC = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody who may sign in. ``app`` None: for all apps.

    ``identity`` is what the OpenID Connect provider calls them, ``password`` its slow hash; they
    may lack either. ``must_change``: somebody else chose the password, so it opens nothing.
    A removed operator is kept as a record, without both.
    """

    id: str
    name: str
    role: Role
    app: str | None
    created_at: datetime
    identity: str | None = None
    password: str | None = field(default=None, repr=False)
    password_set_at: datetime | None = None
    must_change: bool = False
    removed_at: datetime | None = None

    @property
    def person(self) -> str:
        """Who it is: a token of the same name is the same person's."""
        return person_called(self.name)

    def is_live(self, now: datetime) -> bool:
        """Whether they were not removed."""
        del now
        return self.removed_at is None

    def may_approve(self, app: str, now: datetime) -> bool:
        """Whether they approve changes of *app* now, with a password that only they know."""
        is_operator = self.role in {Role.OPERATOR, Role.ADMIN}
        has_password = self.password is not None and not self.must_change
        return is_operator and has_password and self.app in {None, app} and self.is_live(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordLink:
    """A link that sets an operator's password, once. Known by its hash."""

    operator_id: str
    sha256: str
    created_at: datetime
    expires_at: datetime


IDLE: Final = timedelta(hours=12)
LONGEST: Final = timedelta(days=7)
TOUCH: Final = timedelta(minutes=5)
"""A session ends so long after it was used last, and after it began; and use is noted so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody signed in, on one browser. Known by the hash of what its cookie says."""

    sha256: str
    operator_id: str
    created_at: datetime
    seen_at: datetime
    by: SignedInBy

    def is_live(self, now: datetime) -> bool:
        """Whether it is neither idle for too long nor too old. A clock put back ends nothing."""
        return now < self.seen_at + IDLE and now < self.created_at + LONGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often it went wrong, lately, for what ``key`` stands for; refused until ``until``."""

    key: str
    count: int
    last_at: datetime
    until: datetime


class Operators(Protocol):
    """Operators, links, sessions and failures. Sessions and links are found by their hash."""

    # ExistsError: somebody who was not removed has that person's name, or that identity
    def add(self, operator: Operator) -> None: ...
    def update(self, operator: Operator) -> None: ...  # all but its ID; NotFoundError, ExistsError
    def get(self, operator_id: str) -> Operator: ...  # also a removed one; NotFoundError
    def named(self, name: str) -> Operator: ...  # not a removed one, nor below; NotFoundError
    def identified(self, identity: str) -> Operator: ...
    def all(self) -> Sequence[Operator]: ...  # also removed ones, oldest first

    def put_link(self, link: PasswordLink) -> None: ...  # in place of the operator's other
    def link(self, sha256: str, now: datetime) -> PasswordLink: ...  # NotFoundError
    def drop_link(self, operator_id: str) -> bool: ...  # whether there was one

    def add_session(self, session: Session) -> None: ...
    def session(self, sha256: str) -> tuple[Session, Operator]: ...  # NotFoundError
    def touch_session(self, sha256: str, at: datetime) -> None: ...
    def end_session(self, sha256: str) -> None: ...  # one that is none has ended
    def end_sessions(self, operator_id: str, *, but: str | None = None) -> int: ...  # how many
    def forget_sessions(self, now: datetime) -> None: ...  # those that are not live

    def failures(self, keys: Iterable[str]) -> Mapping[str, Failures]: ...
    def put_failures(self, failures: Failures) -> None: ...
    def clear_failures(self, key: str) -> None: ...
    def forget_failures(self, before: datetime) -> None: ...  # whose last one was before
