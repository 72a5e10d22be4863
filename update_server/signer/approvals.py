"""Who approved a change: operators who show their tokens, and tickets of those who did before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rollout.changes import Change, ChangeKind
from rollout.documents import digests_of
from rollout.model import RolloutDocument
from update_server.service.ports import ApiToken, NotFoundError, SignerRefusedError, Stores
from update_server.service.ports.pending import LIFE
from update_server.signer.marks import Marks, mark_of
from update_server.signer.tickets import PREFIX, Ticket, read

MAX_SHOWN: Final = 64
"""A policy asks for 16 people at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """``people`` show their tokens and approve all that is asked; ``tickets`` an entry each.

    Tickets go with the person whose token they stand for. Alone they approve nothing:
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
    """What came with a request to sign something in *channel*: tokens, and tickets."""

    app: str
    channel: str
    approvals: Sequence[str]

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
        people = {
            token.person
            for text in self.approvals
            if text not in tickets and (token := operator_behind(stores, text, self.app, now))
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
        tokens = {token.id: token for token in stores.access.tokens()}
        for ticket in (read(key, text) for text in texts):
            if ticket is None or ticket.sha256 in withdrawn:
                continue
            if (ticket.app, ticket.channel) != (self.app, self.channel):
                continue
            token = tokens.get(ticket.token_id)
            # The upper bound is for a clock that was put back.
            if token is None or not now < ticket.expires_at <= now + LIFE:
                continue
            if token.may_approve(self.app, now):
                yield token.person, ticket


def operator_behind(stores: Stores, secret: str, app: str, now: datetime) -> ApiToken | None:
    """Return the operator's token that *secret* is; None if it is none that may approve."""
    try:
        token = stores.access.token_by_hash(hashlib.sha256(secret.encode()).hexdigest())
    except NotFoundError:
        return None
    return token if token.may_approve(app, now) else None


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
