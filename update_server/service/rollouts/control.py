"""What operators do to rollouts: start, promote, pause, resume, pull.

Each verb first records the wish, with its audit line, in one transaction, and then has it
signed and published. Verbs that widen take the repository's lease before they look, and so
act one after the other: who looked before somebody else acted is told so, and changes
nothing. Verbs that narrow record at once, whoever holds the lease, and are in force when
they return: no web process can offer the release any more.

Not here: composing documents and recovering from crashes (``service.repository.reconcile``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from packaging.version import Version

from rollout import transitions
from rollout.errors import IllegalTransitionError
from rollout.model import Actor, Rollout, RolloutId, RolloutState, Step
from update_server.evidence.settings import Settings
from update_server.service.access.caller import AUTOMATIC, Caller
from update_server.service.errors import (
    BadValueError,
    ConflictError,
    IllegalVerbError,
    RevisionError,
    UnknownChannelError,
)
from update_server.service.notices.alerting import acknowledge
from update_server.service.ports import Clock, Database, Ids, Stores
from update_server.service.ports.waivers import Waiver
from update_server.service.repository.desired import documents_of, releases_of, rollouts_of
from update_server.service.repository.reconcile import Reconciler
from update_server.service.rollouts.asks import NOTHING_MORE, digest_of_terms
from update_server.service.rollouts.changes import (
    is_soaked,
    record_change,
    record_reason,
    record_start,
    record_unsuspended,
)
from update_server.service.rollouts.replacement import check_replacement, default_replacement_of
from update_server.service.rollouts.second_person import SecondPerson
from update_server.service.rollouts.starts import Start, make_way
from update_server.service.studies.memory import NO_WAIVERS, Waivers, end_suspension
from update_server.service.studies.waivers import live_waivers, store, waivers_of

VERBS = ("promote", "pause", "resume", "pull")


class Control:
    """The verbs. ``settle`` returns once every web process has renewed or lost its lease."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        *,
        reconciler: Reconciler,
        second_person: SecondPerson,
        settle: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._reconciler = reconciler
        self._second = second_person
        self._settle = settle

    def start(
        self,
        caller: Caller,
        app: str,
        channel: str,
        version: Version,
        *,
        ladder: tuple[Step, ...] | None = None,
        ring: str | None = None,
        reason: str = "",
        terms: Settings | None = None,
        first_for: Version | None = None,
    ) -> Rollout:
        """Start a rollout, at the first step of the policy's ramp.

        A *ladder* of one's own, or a later *ring* to begin at, is an override in itself. The
        channel's first release begins at the last step of that ring.
        *terms* are what the rollout is judged by; None: as published.
        *first_for* is a bad version whose installs are all offered this one at once; that is
        an override too. It must be paused, or pulled without a replacement.
        Rollouts of older versions that are still on their way are superseded; one that
        offers its release to everybody is completed.

        Raises:
            NotReleasedError, NotNewerError, UnknownChannelError, NotRegisteredError: As named.
            ConflictError: Somebody else changed the channel's rollouts meanwhile.
            ApprovalsMissingError, NeverAllowedError, BadValueError: See ``check_approved``.
            PendingError: It waits for somebody else who asks for the very same.
            SignerRefusedError: The signer said no; nothing was started.
        """
        believed = self._channel(app, channel)
        asked = Start(
            channel=channel,
            version=version,
            ladder=ladder,
            ring=ring,
            terms=terms,
            first_for=first_for,
        )
        said = asked.digest()
        rollout_id = self._second.reserved(app, "start", said) or self._ids.rollout_id()
        with (
            self._reconciler.widening(app, channel) as widening,
            self._second.asked(widening, caller, "start", reason, said) as asking,
        ):
            now = self._clock.now()
            with self._database.transaction() as stores:
                before = widening.desired(stores, now)
                _check_unchanged(believed, before.rollouts)
                asked.check(stores, before)
                rollout = asked.rollout(rollout_id, before, reason, now)
                make_way(stores, before.rollouts, rollout, caller)
                record_start(stores, rollout, caller.name, terms)
                after = widening.desired(stores, now)
                asking.check(stores, rollout, before, after, now, override=asked.is_override)
            widening.bring_into_force(caller.secret, asking.tickets)
        return self._as_asked(rollout)

    def promote(
        self,
        caller: Caller,
        app: str,
        rollout_id: RolloutId,
        *,
        ring: str | None = None,
        reason: str = "",
        override: bool = False,
        expected_revision: int | None = None,
    ) -> Rollout:
        """Open the next step of the ladder, or the first one of a later *ring*.

        The last step completes the rollout at once if there is nothing to wait for.

        Raises:
            ConflictError, RevisionError: Somebody else changed it meanwhile, or before.
            IllegalVerbError: It cannot be promoted now.
            ApprovalsMissingError, NeverAllowedError: See ``check_approved``.
            PendingError: It waits for somebody else who asks for the very same.
            BadValueError: An override came without a reason, whether it was needed or not.
            SignerRefusedError: The signer said no; the rollout is as it was.
        """
        if override and not reason.strip():
            raise BadValueError("reason", "an override needs a reason")

        def promoted(rollout: Rollout, now: datetime) -> Rollout:
            return transitions.promote(rollout, now, ring)

        return self._widen(
            caller,
            self._expected(app, rollout_id, expected_revision),
            "promote",
            promoted,
            override=override,
            reason=reason,
        )

    def resume(
        self,
        caller: Caller,
        app: str,
        rollout_id: RolloutId,
        *,
        reason: str = "",
        expected_revision: int | None = None,
        waived: Iterable[str] = (),
        waived_for: timedelta = timedelta(0),
    ) -> Rollout:
        """End a pause; where there is none, the judge's suspension.

        *waived* are crash signatures that are known and accepted for so long: they get waivers.
        After an automatic pause the study is told of all waivers of the version.

        Raises:
            BadValueError: Waiving and ending a suspension take a reason.
            and what ``promote`` raises.
        """
        waived = tuple(waived)

        def resumed(rollout: Rollout, now: datetime) -> Rollout:
            return transitions.resume(rollout, now, reason)

        believed = self._expected(app, rollout_id, expected_revision)
        if believed.state is RolloutState.ACTIVE:
            return self._unsuspend(caller, believed, reason)
        now = self._clock.now()
        with self._database.reading() as stores:
            is_automatic = believed.paused_by is Actor.AUTOMATIC
            known = live_waivers(stores, believed, now) if is_automatic else NO_WAIVERS
        made = waivers_of(
            believed,
            waived,
            self._ids,
            created_by=caller.name,
            reason=reason,
            now=now,
            life=waived_for,
        )
        return self._widen(
            caller,
            believed,
            "resume",
            resumed,
            override=False,
            reason=reason,
            waived={**known, **{each.signature: each.expires_at for each in made}},
            new_waivers=made,
            terms=_said_of_waivers(waived, waived_for, known),
        )

    def _unsuspend(self, caller: Caller, believed: Rollout, reason: str) -> Rollout:
        now = self._clock.now()
        with self._database.transaction() as stores:
            rollout = stores.rollouts.get(believed.app, believed.id)
            if rollout.revision != believed.revision:
                raise ConflictError(rollout)
            if end_suspension(stores, rollout, now):
                if not reason.strip():
                    raise BadValueError("reason", "ending a suspension needs a reason")
                record_unsuspended(stores, rollout, now, caller.name, reason)
        return rollout

    def pause(
        self,
        caller: Caller,
        app: str,
        rollout_id: RolloutId,
        *,
        reason: str = "",
        by: Actor = Actor.PERSON,
    ) -> Rollout:
        """Offer the release to no further install, whatever revision the caller has seen.

        A person who pauses what is paused acknowledges the alert about it. What they say is put
        on record: who stops first has no time for it.

        Raises:
            IllegalVerbError: It cannot be paused now.
            UnavailableError, LeaseLostError: The wish is recorded, but not in force yet.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            new = _legal("pause", rollout, lambda: transitions.pause(rollout, now, by, reason))
            if new != rollout:
                record_change(stores, rollout, new, actor=caller.name, verb="pause", reason=reason)
            elif by is Actor.PERSON:
                # "Keep it paused": whoever asks for what is so knows of it.
                known = acknowledge(stores, app, rollout_id, caller.name, now, reason)
                if not known and reason.strip() and reason != rollout.reason:
                    record_reason(stores, rollout, now, caller.name, "pause", reason)
        return self._in_force(new, caller)

    def pull(
        self,
        caller: Caller,
        app: str,
        rollout_id: RolloutId,
        *,
        reason: str = "",
        replacement: Version | None = None,
        expected_revision: int | None = None,
    ) -> Rollout:
        """Withdraw the release for good, and send its installs to *replacement*.

        Without one it is the newest completed version that the release may go back to; if
        there is none, installs stay on it, and the rollout says so (``replacement`` None).

        Raises:
            ConflictError, RevisionError: Somebody else changed it.
            IllegalVerbError: The replacement is not older.
            NeverAllowedError: No signed edge leads to the replacement.
            UnavailableError, LeaseLostError: The wish is recorded, but not in force yet.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            _check_revision(rollout, expected_revision)
            target = self._replacement(stores, rollout, replacement)
            new = _legal("pull", rollout, lambda: transitions.pull(rollout, now, reason, target))
            if new != rollout:
                record_change(stores, rollout, new, actor=caller.name, verb="pull", reason=reason)
                stores.apps.bump(app)  # its files are refused from now on
            elif caller is not AUTOMATIC:
                acknowledge(stores, app, rollout_id, caller.name, now)
        return self._in_force(new, caller)

    # --- what verbs share ------------------------------------------------------------------

    def _widen(
        self,
        caller: Caller,
        believed: Rollout,
        verb: str,
        change: Callable[[Rollout, datetime], Rollout],
        *,
        override: bool,
        reason: str,
        waived: Waivers = NO_WAIVERS,
        new_waivers: Iterable[Waiver] = (),
        terms: str = NOTHING_MORE,
    ) -> Rollout:
        app, channel = believed.app, believed.channel
        with (
            self._reconciler.widening(app, channel) as widening,
            self._second.asked(widening, caller, verb, reason, terms) as asking,
        ):
            now = self._clock.now()
            with self._database.transaction() as stores:
                before = widening.desired(stores, now)
                rollout = stores.rollouts.get(app, believed.id)
                if rollout.revision != believed.revision:
                    raise ConflictError(rollout)
                new = _legal(verb, rollout, lambda: change(rollout, now))
                if new != rollout:
                    # What is resumed is offered first; it is completed by the next reconcile.
                    if verb == "promote" and is_soaked(new, now):
                        new = _completed(new, now)
                    for waiver in new_waivers:
                        store(stores, waiver)
                    record_change(
                        stores,
                        rollout,
                        new,
                        actor=caller.name,
                        verb=verb,
                        reason=reason,
                        waived=waived,
                    )
                    after = widening.desired(stores, now)
                    asking.check(stores, new, before, after, now, override=override)
            widening.bring_into_force(caller.secret, asking.tickets)
        return self._as_asked(new)

    def _as_asked(self, asked: Rollout) -> Rollout:
        """Return what was asked for; raise ConflictError if somebody paused it meanwhile."""
        rollout = self._now(asked.app, asked.id)
        if rollout.revision != asked.revision:
            raise ConflictError(rollout)
        return rollout

    def _in_force(self, rollout: Rollout, caller: Caller) -> Rollout:
        """Return *rollout* once no process can offer it otherwise than it says."""
        self._reconciler.narrow(rollout.app, rollout.channel, caller.secret)
        self._settle()
        return self._now(rollout.app, rollout.id)

    def _replacement(
        self, stores: Stores, rollout: Rollout, wanted: Version | None
    ) -> Version | None:
        if wanted is None and rollout.state is RolloutState.PULLED:
            return rollout.replacement
        if wanted is None:
            return default_replacement_of(stores, rollout)
        policy, _ = documents_of(stores, rollout.app, rollout.channel)
        versions = [rollout.version, wanted]
        releases = releases_of(stores, rollout.app, rollout.channel, versions)
        check_replacement(rollout.version, wanted, policy, releases)
        return wanted

    def _channel(self, app: str, channel: str) -> tuple[Rollout, ...]:
        with self._database.reading() as stores:
            if channel not in stores.apps.get(app).channels:
                raise UnknownChannelError(app, channel)
            return rollouts_of(stores, app, channel)

    def _expected(self, app: str, rollout_id: RolloutId, revision: int | None) -> Rollout:
        rollout = self._now(app, rollout_id)
        _check_revision(rollout, revision)
        return rollout

    def _now(self, app: str, rollout_id: RolloutId) -> Rollout:
        with self._database.reading() as stores:
            return stores.rollouts.get(app, rollout_id)


def legal_verbs(rollout: Rollout) -> list[str]:
    """Return what an operator may do to *rollout* now."""
    return [verb for verb in transitions.legal_verbs(rollout) if verb in VERBS]


def _legal(verb: str, rollout: Rollout, change: Callable[[], Rollout]) -> Rollout:
    try:
        return change()
    except IllegalTransitionError as error:
        raise IllegalVerbError(verb, error.detail, rollout, legal_verbs(rollout)) from error


def _completed(rollout: Rollout, now: datetime) -> Rollout:
    # One change for whoever looks at revisions: the verb's.
    return replace(transitions.complete(rollout, now), revision=rollout.revision)


def _check_revision(rollout: Rollout, expected: int | None) -> None:
    if expected is not None and rollout.revision != expected:
        raise RevisionError(rollout, expected)


def _check_unchanged(believed: Iterable[Rollout], now: Iterable[Rollout]) -> None:
    seen = {(rollout.id, rollout.revision) for rollout in believed}
    for rollout in now:
        if (rollout.id, rollout.revision) not in seen:
            raise ConflictError(rollout)


def _said_of_waivers(waived: tuple[str, ...], waived_for: timedelta, known: Waivers) -> str:
    """Return the digest of what a resume waives: what is asked for, and what is known already."""
    if not waived and not known:
        return NOTHING_MORE
    return digest_of_terms(
        {
            "waived": sorted(waived),
            "seconds": int(waived_for.total_seconds()),
            "known": {signature: end.isoformat() for signature, end in known.items()},
        }
    )
