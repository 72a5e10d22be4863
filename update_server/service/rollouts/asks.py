"""One call of a verb that widens, beside the asks of others that wait for just this one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from rollout.documents import digests_of
from rollout.model import Rollout, RolloutId
from rollout.strict_json import render_canonical
from update_server.service.access.caller import Caller
from update_server.service.ports import NotFoundError, Stores
from update_server.service.ports.approvals import Approver, approvers
from update_server.service.ports.pending import LIFE, Approval, PendingVerb
from update_server.service.repository.desired import Desired

NOTHING_MORE: Final = ""
"""The digest of what a verb says beside what the document will say, where that is nothing."""


def digest_of_terms(said: Mapping[str, Any]) -> str:
    """Return the digest of what a verb says that no document will say."""
    return hashlib.sha256(render_canonical(said)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What *caller* wants: *rollout* as the verb makes it, and the channel's document with it.

    ``widened`` are all rollouts that need people for it: but for a ``hold`` that is lifted,
    this one alone. ``revision`` is the rollout's before.
    """

    caller: Caller
    verb: str
    reason: str
    terms: str
    rollout: Rollout
    revision: int
    wanted: Desired
    widened: tuple[RolloutId, ...]
    hold: str | None = None

    def pending(self, pending_id: str, now: datetime) -> PendingVerb:
        """Return this ask as what waits, wanted by nobody yet."""
        said = digests_of(self.wanted.wanted)
        return PendingVerb(
            id=pending_id,
            app=self.rollout.app,
            channel=self.rollout.channel,
            rollout=self.rollout.id,
            verb=self.verb,
            version=self.rollout.version,
            ring=self.rollout.step.ring,
            revision=self.revision,
            entry=",".join(said[rollout] for rollout in self.widened),
            terms=self.terms,
            needs=0,
            reason=self.reason,
            asked_at=now,
            expires_at=now + LIFE,
            approvals=(),
            hold=self.hold,
        )

    def matching(self, stores: Stores, now: datetime) -> PendingVerb | None:
        """Return what waits for somebody to ask just this; None if nothing does."""
        mine = _said(self.pending("", now))
        for each in stores.pending.of_app(self.rollout.app):
            if _said(each) == mine and now < each.expires_at:
                return each
        return None

    def forget_void(self, stores: Stores, now: datetime) -> None:
        """Remove what cannot be completed any more, or was asked when other holds were placed."""
        mine = self.pending("", now)
        for each in stores.pending.of_app(self.rollout.app):
            replaced = _place(each) == _place(mine) and each.entry != mine.entry
            if replaced or not waits(stores, each, now):
                stores.pending.remove(each.app, each.id)


def waiting(stores: Stores, app: str | None, now: datetime) -> list[PendingVerb]:
    """Return what waits in *app* or in all, oldest first, with the approvals that still count."""
    asked = stores.pending.all() if app is None else stores.pending.of_app(app)
    alive = [each for each in asked if now < each.expires_at]
    if not alive:
        return []
    revisions = stores.rollouts.revisions({each.rollout for each in alive})
    known = approvers(stores)
    found = (
        replace(each, approvals=tuple(_living(known, each, now).values()))
        for each in alive
        if revisions.get(each.rollout, 0) == each.revision
    )
    return [each for each in found if each.approvals]


def waits(stores: Stores, pending: PendingVerb, now: datetime) -> bool:
    """Whether *pending* can still be completed: its hour is not over, its rollout as it was."""
    if now >= pending.expires_at:
        return False
    try:
        revision = stores.rollouts.get(pending.app, pending.rollout).revision
    except NotFoundError:  # it is to be started
        revision = 0
    return revision == pending.revision


def living(stores: Stores, pending: PendingVerb, now: datetime) -> dict[str, Approval]:
    """Return the approvals that are still valid, by person: tokens', and operators'."""
    return _living(approvers(stores), pending, now)


def _living(
    known: Mapping[str, Approver], pending: PendingVerb, now: datetime
) -> dict[str, Approval]:
    found: dict[str, Approval] = {}
    for each in pending.approvals:
        one = known.get(each.token_id)
        if one is not None and one.may_approve(pending.app, now):
            found.setdefault(one.person, each)
    return found


def split(
    stores: Stores, pending: PendingVerb | None, caller: Caller, now: datetime
) -> tuple[Approval | None, tuple[Approval, ...]]:
    """Return the valid approval of *caller*, if there is one, and those of other people."""
    one = approvers(stores).get(caller.token_id)
    if pending is None or one is None or not one.may_approve(pending.app, now):
        return None, ()
    found = living(stores, pending, now)
    return found.pop(one.person, None), tuple(found.values())


def take_back(stores: Stores, token_id: str) -> None:
    """Let nothing wait any more for which *token_id* stands."""
    for app in stores.apps.all():
        for each in stores.pending.of_app(app.name):
            left = tuple(one for one in each.approvals if one.token_id != token_id)
            if not left:
                stores.pending.remove(each.app, each.id)
            elif left != each.approvals:
                stores.pending.put(replace(each, approvals=left))


def _said(pending: PendingVerb) -> tuple[object, ...]:
    return *_place(pending), pending.revision, pending.entry, pending.terms


def _place(pending: PendingVerb) -> tuple[object, ...]:
    return pending.verb, pending.rollout, pending.ring, pending.hold
