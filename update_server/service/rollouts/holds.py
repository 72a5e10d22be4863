"""Holds: known risks that keep a slice of installs where they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from packaging.version import Version

from rollout.documents import check_against_policy, check_hold
from rollout.errors import DocumentError
from rollout.model import (
    Audience,
    Entry,
    Hold,
    Policy,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from update_server.service.access.caller import Caller
from update_server.service.errors import BadValueError, UnknownChannelError
from update_server.service.notices.news import tell_held, tell_lifted
from update_server.service.ports import (
    Clock,
    Database,
    Ids,
    NotFoundError,
    StoredHold,
    Stores,
)
from update_server.service.repository.desired import documents_of
from update_server.service.repository.reconcile import Reconciler
from update_server.service.rollouts.asks import digest_of_terms
from update_server.service.rollouts.second_person import SecondPerson
from update_server.service.studies.memory import note_hold, note_lift


class Holds:
    """Places and lifts holds. Placing narrows, so it is never delayed; lifting widens."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        *,
        reconciler: Reconciler,
        second_person: SecondPerson,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._reconciler = reconciler
        self._second = second_person

    def all(self, app: str) -> Sequence[StoredHold]:
        """Return the holds in force, newest first."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return sorted(stores.rollouts.holds(app), key=lambda h: h.created_at, reverse=True)

    def add(
        self,
        caller: Caller,
        app: str,
        channel: str,
        *,
        title: str,
        link: str,
        audience: Audience,
        reason: str = "",
        rollout: RolloutId | None = None,
    ) -> StoredHold:
        """Hold a slice of installs back from *rollout*, or from every one of the channel.

        Raises:
            UnknownChannelError, NotRegisteredError, NotFoundError: As named.
            BadValueError: The link's host or a custom key is not in the policy, or the hold
                cannot be said in a signed document.
        """
        now = self._clock.now()
        hold = Hold(id=self._ids.short_id("h_"), title=title, link=link, audience=audience)
        stored = StoredHold(
            app=app,
            channel=channel,
            hold=hold,
            created_at=now,
            created_by=caller.name,
            reason=reason,
            rollout=rollout,
        )
        with self._database.transaction() as stores:
            if channel not in stores.apps.get(app).channels:
                raise UnknownChannelError(app, channel)
            if rollout is not None:
                stores.rollouts.get(app, rollout)
            policy, _ = documents_of(stores, app, channel)
            _check(hold, policy, now)
            stores.rollouts.add_hold(stored)
            note_hold(stores, stored)
            _audit(stores, caller, stored, "hold.add", now, reason)
            tell_held(stores, stored, caller.name)
        self._reconciler.narrow(app, channel, caller.secret)
        return stored

    def enforce(self, caller: Caller, app: str, channel: str) -> None:
        """Return once all holds that were placed are in force; raises as ``add`` does."""
        self._reconciler.narrow(app, channel, caller.secret)

    def lift(self, caller: Caller, app: str, hold_id: str, *, reason: str = "") -> None:
        """End a hold. It may be one that has ended already.

        Raises:
            NotFoundError: There is none.
            PendingError: The policy wants more than one operator: it waits for the others.
            SignerRefusedError: The signer said no; the hold is still in force.
        """
        held = self._held(app, hold_id)
        if held.lifted_at is not None:
            return
        terms = digest_of_terms({"hold": hold_id})
        with (
            self._reconciler.widening(app, held.channel) as widening,
            self._second.asked(
                widening, caller, "lift", reason or "a hold is lifted", terms
            ) as asking,
        ):
            now = self._clock.now()
            with self._database.transaction() as stores:
                before = widening.desired(stores, now)
                stores.rollouts.lift_hold(app, hold_id, now)
                note_lift(stores, held, now)
                _audit(stores, caller, held, "hold.lift", now, reason)
                tell_lifted(stores, held, now, caller.name)
                after = widening.desired(stores, now)
                asking.check_lift(stores, held, before, after, now)
            widening.bring_into_force(caller.secret, asking.tickets)

    def _held(self, app: str, hold_id: str) -> StoredHold:
        with self._database.reading() as stores:
            stores.apps.get(app)
            for held in stores.rollouts.holds(app, lifted=True):
                if held.hold.id == hold_id:
                    return held
        raise NotFoundError("hold", hold_id)


def _check(hold: Hold, policy: Policy, now: datetime) -> None:
    """Return if *hold* could stand in a signed document of this policy, whatever is rolled out."""
    probe = RolloutDocument(
        app=policy.app,
        channel=policy.channel,
        issued=now,
        next_check_in_seconds=1,
        entries=(
            Entry(version=Version("0"), state=RolloutState.PAUSED, exposure_bp=0, holds=(hold,)),
        ),
    )
    try:
        check_hold(hold)
        check_against_policy(probe, policy)
    except DocumentError as error:
        field = error.where.removeprefix("entries[0].holds[0].") or "audience"
        raise BadValueError(field, error.detail) from error


def _audit(
    stores: Stores, caller: Caller, held: StoredHold, action: str, now: datetime, reason: str
) -> None:
    stores.audit.append(
        at=now,
        actor=caller.name,
        action=action,
        app=held.app,
        subject=held.hold.id,
        reason=reason,
        after={"channel": held.channel, "title": held.hold.title, "link": held.hold.link},
    )
