"""Who approved a change: people who show a token or password, and tickets of those before them.

A password is checked against the stored hash here, as a token is: no web process is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rollout.changes import Change, ChangeKind
from rollout.documents import digests_of
from rollout.model import RolloutDocument
from update_server.service.ports import NotFoundError, SignerRefusedError, Stores
from update_server.service.ports.approvals import (
    PASSWORD,
    Approver,
    approvers,
    parse_password,
)
from update_server.service.ports.operators import Operator
from update_server.service.ports.passwords import Passwords
from update_server.service.ports.pending import LIFE
from update_server.signer.marks import Marks, mark_of
from update_server.signer.tickets import PREFIX, Ticket, read

MAX_SHOWN: Final = 64
"""A policy asks for 16 people at most."""

MAX_PASSWORDS: Final = 4
"""Each takes a tenth of a second, in which no pause is signed; whoever came before has a ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """``people`` are here and approve all that is asked; ``tickets`` an entry each.

    Tickets go with the person for whom they stand. Alone they approve nothing:
    somebody must be seen to ask.
    """

    people: frozenset[str] = frozenset()
    tickets: tuple[tuple[str, Ticket], ...] = ()

    def of(self, document: RolloutDocument, rollout: str | None, marks: Marks) -> frozenset[str]:
        """Return who approves what *document* says of *rollout*, after what has *marks*."""
        if not self.people:
            return self.people
        said = {
            (each, digest, mark_of(marks, each))
            for each, digest in digests_of(document).items()
            if each == rollout
        }
        return self.people | {
            person
            for person, ticket in self.tickets
            if (ticket.rollout, ticket.entry, ticket.mark) in said
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came with a request to sign something in *channel*: tokens, passwords, tickets."""

    app: str
    channel: str
    approvals: Sequence[str]
    passwords: Passwords

    def check(
        self,
        stores: Stores,
        now: datetime,
        key: Callable[[], bytes],
        withdrawn: Mapping[str, datetime],
    ) -> Approvals:
        """Return whose they are, as far as they are valid. *withdrawn* are tickets by digest."""
        if len(self.approvals) > MAX_SHOWN:
            raise SignerRefusedError("too_many", f"at most {MAX_SHOWN} approvals")
        tickets = tuple(text for text in self.approvals if text.startswith(PREFIX))
        if sum(text.startswith(PASSWORD) for text in self.approvals) > MAX_PASSWORDS:
            raise SignerRefusedError("too_many", f"at most {MAX_PASSWORDS} passwords")
        people = {
            one.person
            for text in self.approvals
            if text not in tickets
            and (one := approver_behind(stores, text, self.app, now, self.passwords))
        }
        return Approvals(
            people=frozenset(people),
            tickets=tuple(self._valid(stores, now, key(), tickets, withdrawn)) if tickets else (),
        )

    def _valid(
        self,
        stores: Stores,
        now: datetime,
        key: bytes,
        texts: Sequence[str],
        withdrawn: Mapping[str, datetime],
    ) -> Iterator[tuple[str, Ticket]]:
        known = approvers(stores)
        for ticket in (read(key, text) for text in texts):
            if ticket is None or ticket.sha256 in withdrawn:
                continue
            if (ticket.app, ticket.channel) != (self.app, self.channel):
                continue
            one = known.get(ticket.token_id)
            # The upper bound is for a clock that was put back.
            if one is None or not now < ticket.expires_at <= now + LIFE:
                continue
            if one.may_approve(self.app, now) and not _is_of_before(ticket, one):
                yield one.person, ticket


def approver_behind(
    stores: Stores, secret: str, app: str, now: datetime, passwords: Passwords
) -> Approver | None:
    """Return whose token or password *secret* is; None if they may not approve."""
    try:
        if secret.startswith(PASSWORD):
            return _operator_behind(stores, secret, app, now, passwords)
        token = stores.access.token_by_hash(hashlib.sha256(secret.encode()).hexdigest())
    except NotFoundError:
        return None
    return token if token.may_approve(app, now) else None


def _operator_behind(
    stores: Stores, secret: str, app: str, now: datetime, passwords: Passwords
) -> Operator | None:
    told = parse_password(secret)
    if told is None:
        return None
    name, password = told
    operator = stores.operators.named(name)
    if operator.password is None or not operator.may_approve(app, now):
        return None
    return operator if passwords.matches(operator.password, password) else None


def _is_of_before(ticket: Ticket, one: Approver) -> bool:
    """Whether *ticket* is from before its operator's password of today was set.

    Whoever changes a password because somebody else knows it takes back what they approved.
    """
    set_at = one.password_set_at if isinstance(one, Operator) else None
    # Tickets tell whole seconds.
    return set_at is not None and ticket.expires_at - LIFE < set_at.replace(microsecond=0)


def check_kind(change: Change) -> None:
    """Return if *change* may be made at all, whoever approves it."""
    if change.kind is ChangeKind.NEVER:
        raise SignerRefusedError("never", f"this is never signed: {'; '.join(change.why)}")


def check_approved(
    change: Change, document: RolloutDocument, approvals: Approvals, marks: Marks
) -> None:
    """Return if enough people approve each part of *change* (the table of docs/trust.md, 7)."""
    for rollout, needed in change.needed_by.items():
        given = len(approvals.of(document, rollout, marks))
        if given < needed:
            raise SignerRefusedError(
                "approvals_missing",
                f"{given} of {needed} operators approved: {'; '.join(change.why)}",
                {"needed": needed, "given": given},
            )
