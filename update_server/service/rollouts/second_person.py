"""Verbs that two have to want: the first one's ask waits for the second one's.

Whoever asks first changes nothing that is in force. The signer gives a ticket for their token,
which is kept here with the ask; whoever asks for the very same within the hour has it signed
with their own token and the tickets of the others. What counts is for the signer alone to say
(docs/adr/0013): people are looked at here too, so that nobody's wish is recorded in vain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from rollout.changes import Change
from rollout.documents import digests_of
from rollout.model import Rollout, RolloutId
from update_server.service.access.caller import AUTOMATIC, Caller
from update_server.service.errors import (
    ApprovalsMissingError,
    PendingError,
    TooManyPendingError,
)
from update_server.service.ports import Clock, Database, Ids, Signer, StoredHold, Stores
from update_server.service.ports.pending import Approval, PendingVerb
from update_server.service.repository.desired import Desired
from update_server.service.repository.reconcile import Widening
from update_server.service.rollouts.approval import check_approved
from update_server.service.rollouts.asks import NOTHING_MORE, Ask, split, waiting, waits

MAX_WAITING: Final = 100
"""Asks that may wait in one app."""


@dataclass(slots=True, kw_only=True)
class Asking:
    """One call of a verb that widens. ``tickets`` are those of others who asked before."""

    caller: Caller
    verb: str
    reason: str
    terms: str
    tickets: tuple[str, ...] = ()
    ask: Ask | None = None

    def check(
        self,
        stores: Stores,
        rollout: Rollout,
        before: Desired,
        after: Desired,
        now: datetime,
        *,
        override: bool,
    ) -> None:
        """Return if enough people want *after*, where *rollout* is as this verb makes it.

        Raises:
            ApprovalsMissingError, NeverAllowedError, BadValueError: See ``check_approved``.
        """
        change = after.judge(before, now)
        self._note(rollout, rollout.revision - 1, after, (rollout.id,))
        self._check(stores, change, now, override=override)

    def check_lift(
        self, stores: Stores, hold: StoredHold, before: Desired, after: Desired, now: datetime
    ) -> None:
        """Return if enough people want *after*, where *hold* is lifted. Raises as ``check``."""
        change = after.judge(before, now)
        widened = tuple(name for name in change.needed_by if name is not None)
        if widened:
            first = stores.rollouts.get(hold.app, widened[0])
            self._note(first, first.revision, after, widened, hold.hold.id)
        # Asking for a hold to be lifted says as much as an override would.
        self._check(stores, change, now, override=True)

    def _note(
        self,
        rollout: Rollout,
        revision: int,
        wanted: Desired,
        widened: tuple[RolloutId, ...],
        hold: str | None = None,
    ) -> None:
        said = digests_of(wanted.wanted)
        if self.caller.secret and all(each in said for each in widened):
            self.ask = Ask(
                caller=self.caller,
                verb=self.verb,
                reason=self.reason,
                terms=self.terms,
                rollout=rollout,
                revision=revision,
                wanted=wanted,
                widened=widened,
                hold=hold,
            )

    def _check(self, stores: Stores, change: Change, now: datetime, *, override: bool) -> None:
        known, others = None, tuple[Approval, ...]()
        if self.ask is not None:
            known = self.ask.matching(stores, now)
            _, others = split(stores, known, self.caller, now)
        people = 0 if self.caller == AUTOMATIC else 1 + len(others)
        check_approved(change, override=override, reason=self.reason, people=people)
        if known is not None and others:
            self.tickets = tuple(ticket for each in others for ticket in each.tickets)
            stores.pending.remove(known.app, known.id)
            names = [*(each.by for each in others), self.caller.name]
            _audit(stores, "complete", known, self.caller, now, names, self.reason)


class SecondPerson:
    """Asks that wait. Those of one app are noted by the holder of its lease."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, *, signer: Signer) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._signer = signer

    def reserved(self, app: str, verb: str, terms: str) -> RolloutId | None:
        """Return the rollout that an ask with these *terms* is to bring about, if one waits."""
        now = self._clock.now()
        with self._database.reading() as stores:
            for each in stores.pending.of_app(app):
                if (each.verb, each.terms) == (verb, terms) and waits(stores, each, now):
                    return each.rollout
        return None

    @contextmanager
    def asked(
        self, widening: Widening, caller: Caller, verb: str, reason: str, terms: str = NOTHING_MORE
    ) -> Iterator[Asking]:
        """Let the block check an ask, and note it if only more people are missing.

        Raises:
            PendingError: It waits for them. Whatever the block has written must be undone.
            SignerRefusedError: The signer gives no ticket for it.
        """
        asking = Asking(caller=caller, verb=verb, reason=reason, terms=terms)
        try:
            yield asking
        except ApprovalsMissingError as missing:
            if missing.hint or asking.ask is None:
                raise
            pending = self._note(widening, asking.ask, missing.needed)
            raise PendingError(pending, missing.why) from missing

    def all(self, app: str | None) -> Sequence[PendingVerb]:
        """Return what waits in *app* or in all, oldest first, with approvals that still count."""
        now = self._clock.now()
        with self._database.reading() as stores:
            if app is not None:
                stores.apps.get(app)
            return waiting(stores, app, now)

    def withdraw(self, caller: Caller, app: str, pending_id: str) -> None:
        """End an ask; its tickets count no more, wherever they were copied to.

        Raises:
            NotFoundError: It waits no more.
            UnavailableError: The signer does not answer: it still waits.
        """
        while True:
            with self._database.reading() as stores:
                stores.apps.get(app)
                known = stores.pending.get(app, pending_id)
            for each in known.approvals:
                for ticket in each.tickets:
                    self._signer.withdraw(app, ticket)
            with self._database.transaction() as stores:
                # Somebody may have joined meanwhile.
                if stores.pending.get(app, pending_id).approvals == known.approvals:
                    stores.pending.remove(app, pending_id)
                    names = [each.by for each in known.approvals]
                    _audit(stores, "withdraw", known, caller, self._clock.now(), names)
                    return

    def _note(self, widening: Widening, ask: Ask, needed: int) -> PendingVerb:
        """Note *ask* of one who is not enough; the same person's again changes nothing."""
        now = self._clock.now()
        with self._database.reading() as stores:
            known = ask.matching(stores, now)
            mine, others = split(stores, known, ask.caller, now)
        if known is not None and mine is not None:
            return replace(
                known, approvals=tuple(e for e in known.approvals if e in (mine, *others))
            )
        tickets = tuple(
            widening.ticket(ask.wanted, rollout, ask.caller.secret) for rollout in ask.widened
        )
        mine = Approval(by=ask.caller.name, token_id=ask.caller.token_id, tickets=tickets)
        with self._database.transaction() as stores:
            ask.forget_void(stores, now)
            known = ask.matching(stores, now)
            _, others = split(stores, known, ask.caller, now)
            if known is None and len(stores.pending.of_app(ask.rollout.app)) >= MAX_WAITING:
                raise TooManyPendingError(MAX_WAITING)
            new = known or ask.pending(self._ids.short_id("pe_"), now)
            pending = replace(new, needs=needed, approvals=(*others, mine))
            stores.pending.put(pending)
            names = [each.by for each in pending.approvals]
            verb = "join" if others else "ask"
            _audit(stores, verb, pending, ask.caller, now, names, ask.reason)
        return pending


def _audit(
    stores: Stores,
    verb: str,
    pending: PendingVerb,
    caller: Caller,
    now: datetime,
    people: Sequence[str],
    reason: str = "",
) -> None:
    stores.audit.append(
        at=now,
        actor=caller.name,
        action=f"pending.{verb}",
        app=pending.app,
        subject=pending.rollout,
        reason=reason,
        after={
            "pending": pending.id,
            "verb": pending.verb,
            "version": str(pending.version),
            "ring": pending.ring,
            "people": list(people),
            "needs": pending.needs,
        }
        | ({} if pending.hold is None else {"hold": pending.hold}),
    )
