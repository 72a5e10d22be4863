"""Who may do what: tokens, groups, enrolments, secrets."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

# Letters and marks all the same: fillers of Hangul, vowels of Khmer, selectors of variants.
_UNSEEN: Final = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180F, 0x3164, 0xFFA0),
            *range(0x180B, 0x180E),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)


class Role(StrEnum):
    """What a token may do. Each role may do what the ones before it may."""

    VIEWER = "viewer"
    PUBLISHER = "publisher"
    OPERATOR = "operator"
    ADMIN = "admin"


def person_called(name: str) -> str:
    """Return whose *name* is, of a token or of an operator: equal names are one person's.

    Spellings that look alike are one name: nobody is two by a space, a capital, or a character
    that shows nothing.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(each for each in folded if not shows_nothing(each)).split())


def shows_nothing(character: str) -> bool:
    """Whether *character* leaves no trace where it is shown.

    Those of Unicode's Default_Ignorable_Code_Point that are letters or marks, and format
    characters (joiners, what turns text, tags).
    """
    return character in _UNSEEN or unicodedata.category(character) == "Cf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token of the admin app, known by its hash. ``app`` None: all apps."""

    id: str
    sha256: str
    name: str
    role: Role
    app: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def person(self) -> str:
        """Who is behind it: tokens of one name are one person's."""
        return person_called(self.name)

    def is_live(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_approve(self, app: str, now: datetime) -> bool:
        """Whether it approves changes of *app* now."""
        is_operator = self.role in {Role.OPERATOR, Role.ADMIN}
        return is_operator and self.app in {None, app} and self.is_live(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named set of enrolled installs."""

    app: str
    name: str
    created_at: datetime
    members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """A code that installs trade for a credential. Known by its hash."""

    id: str
    app: str
    group: str
    sha256: str
    created_at: datetime
    expires_at: datetime
    uses_left: int
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A live membership: one install in one group, by the hash of its credential."""

    app: str
    group: str
    install_key: bytes
    sha256: str
    created_at: datetime
    revoked_at: datetime | None = None


class Access(Protocol):
    """Tokens, groups, enrolments and server secrets."""

    def add_token(self, token: ApiToken) -> None: ...
    def token_by_hash(self, sha256: str) -> ApiToken: ...
    def tokens(self) -> Sequence[ApiToken]: ...
    def revoke_token(self, token_id: str, at: datetime) -> None: ...
    def add_group(self, group: Group) -> None: ...
    def groups(self, app: str) -> Sequence[Group]: ...
    def remove_group(self, app: str, name: str, at: datetime) -> None: ...  # revokes enrolments
    def add_code(self, code: EnrolmentCode) -> None: ...
    def codes(self, app: str) -> Sequence[EnrolmentCode]: ...
    def use_code(self, app: str, sha256: str, now: datetime) -> EnrolmentCode: ...  # one use less
    def revoke_code(self, app: str, code_id: str, at: datetime) -> None: ...
    def add_enrolment(self, enrolment: Enrolment) -> None: ...
    def enrolments(self, app: str) -> Sequence[Enrolment]: ...  # live ones
    # live ones of one install
    def enrolments_of(self, app: str, install_key: bytes) -> Sequence[Enrolment]: ...
    def secret(self, name: str) -> bytes: ...  # NotFoundError
    def add_secret(self, name: str, value: bytes) -> bytes: ...  # first writer wins; returns it
    def idempotent(self, key: str) -> bytes | None: ...
    def remember_idempotent(self, key: str, answer: bytes, now: datetime) -> None: ...
