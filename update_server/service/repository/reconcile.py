"""Bringing into force what the database wants.

Level-triggered: each channel's wanted document is composed anew and compared with what is
signed; if they differ, it is signed, recorded and published. So it does not matter who
wanted what, or where a process was killed: the next reconcile, by whomever, ends the way.

A wish that the signer refuses is taken back, or it would stand in the way of every later
one; but never a pause, a pull or a hold (``service.rollouts.take_back``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, repeat
from typing import Final

from rollout.documents import render_rollout
from rollout.model import RolloutId
from rollout.transitions import complete
from update_server.service.access.caller import AUTOMATIC
from update_server.service.errors import ConflictError, InexpressibleError, NotRegisteredError
from update_server.service.ports import (
    Clock,
    Database,
    LeaseLostError,
    Signer,
    SignerRefusedError,
    Stores,
)
from update_server.service.repository.desired import Desired, desired_for, rollouts_of
from update_server.service.repository.leases import Lease, Leases
from update_server.service.repository.states import SignedStates, newest_version
from update_server.service.rollouts.changes import is_soaked, record_change
from update_server.service.rollouts.take_back import give_up_returns, take_back

# The signer looked at the wish itself and said no. Whatever else it may say (no key, a clock
# that is wrong, metadata that expired) will pass, and the wish stands.
_JUDGED: Final = frozenset({"approvals_missing", "never", "not_automatic"})


class Widening:
    """One verb's turn, under the lease: nobody else signs for the app meanwhile."""

    def __init__(self, reconciler: Reconciler, lease: Lease, channel: str) -> None:
        self._reconciler = reconciler
        self._lease = lease
        self._channel = channel

    def desired(self, stores: Stores, now: datetime) -> Desired:
        """Read the channel. Raises LeaseLostError when the turn is over."""
        self._lease.check(stores)
        return self._reconciler.desired(stores, self._lease.app, self._channel, now)

    def bring_into_force(self, approval: str, tickets: Sequence[str] = ()) -> None:
        """Have what was recorded signed and published.

        *approval* is the token of the operator who asks, *tickets* stand for others.

        Raises:
            SignerRefusedError: It was refused, and taken back.
        """
        self._reconciler.enforce(self._lease, self._channel, (approval, *tickets))

    def ticket(self, wanted: Desired, rollout: RolloutId, approval: str) -> str:
        """Return what stands for the token *approval* once others have *wanted* signed.

        It is for what is wanted of *rollout* alone.

        Raises:
            SignerRefusedError: The signer gives none.
        """
        return self._reconciler.ticket(self._lease, wanted, rollout, approval)


class Reconciler:
    """Makes signed documents say what the database wants."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        clock: Clock,
        *,
        leases: Leases,
        states: SignedStates,
        next_check_in_seconds: int,
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._leases = leases
        self._states = states
        self._next_check_in_seconds = next_check_in_seconds

    # --- for the controller ----------------------------------------------------------------

    def is_due(self, app: str) -> bool:
        """Tell, by reading only, whether ``reconcile`` has something to do for *app*.

        It cannot see what was signed and not recorded: reconcile after a start, and now and
        then, without asking.
        """
        now = self._clock.now()
        with self._database.reading() as stores:
            if any(row.app == app for row in stores.journal.unpublished()):
                return True
            return any(
                self._is_due(stores, app, channel, now) for channel in stores.apps.get(app).channels
            )

    def reconcile(self, app: str, *, patience_seconds: float = 0) -> None:
        """End what was begun, and bring every channel of *app* into force.

        Raises:
            LeaseLostError: Somebody else is at it.
            UnavailableError: Storage, the database or the signer does not answer.
            BrokenStateError: Storage holds other bytes than were signed.
            SignerRefusedError: A wish was refused, and taken back as far as that is safe.
            InexpressibleError: A channel wants what its policy cannot say.
        """
        with self._leases.hold(app, patience_seconds=patience_seconds) as lease:
            self._states.catch_up(lease)
            with self._database.reading() as stores:
                channels = stores.apps.get(app).channels
            failures = [self._failure(lease, channel) for channel in channels]
        for failure in failures:
            if failure is not None:
                raise failure

    # --- for verbs -------------------------------------------------------------------------

    @contextmanager
    def widening(self, app: str, channel: str) -> Iterator[Widening]:
        """Hold the app's lease for a verb that widens, with nothing left over before it."""
        with self._leases.hold(app) as lease:
            self._states.catch_up(lease)
            # A wish that nobody can approve any more must not be judged as part of this one.
            # If it was taken back, its rollout's revision tells.
            with suppress(SignerRefusedError):
                self.enforce(lease, channel)
            yield Widening(self, lease, channel)

    def narrow(self, app: str, channel: str, secret: str) -> None:
        """Bring into force what was recorded and narrows.

        *secret* is the token of the operator who asks. It is not needed, but what the signer
        sees nobody ask for it takes for automatic. Nothing else is approved by it.

        Raises:
            LeaseLostError: Others held the lease for too long; the wish stands.
            UnavailableError, BrokenStateError: As ``reconcile``; the wish stands.
            SignerRefusedError: It is not in force.
        """
        with self._leases.hold(app) as lease:
            self._states.catch_up(lease)
            try:
                self.enforce(lease, channel, narrowing=secret)
            except SignerRefusedError:
                # Another wish stood in the way, and was taken back; this one has remained.
                wanted = self._wanted(lease, channel)
                if wanted is None or not wanted.in_force:
                    raise

    def enforce(
        self, lease: Lease, channel: str, approvals: Sequence[str] = (), *, narrowing: str = ""
    ) -> None:
        """Bring one channel into force. *approvals* are tokens for the signer.

        *narrowing* is a token that it sees only if all that is wanted narrows.

        Raises:
            SignerRefusedError: It was refused; if by judgement, it was taken back.
        """
        wanted = self._wanted(lease, channel)
        if wanted is None or wanted.in_force:
            return
        try:
            self._sign(lease, wanted, approvals or self._shown(wanted, narrowing))
        except SignerRefusedError as refusal:
            if refusal.code in _JUDGED:
                self._take_back(lease, channel, refusal, narrowing)
            raise

    def ticket(self, lease: Lease, wanted: Desired, rollout: RolloutId, approval: str) -> str:
        """Have the signer note one operator's token; see ``Widening.ticket``."""
        with self._database.reading() as stores:
            lease.check(stores)
            based_on = newest_version(stores, lease.app)
        document = render_rollout(wanted.wanted)
        try:
            return self._signer.ticket(
                lease.app, wanted.channel, document, rollout, approval, based_on=based_on
            )
        except SignerRefusedError as refusal:
            if refusal.code == "stale_base":
                raise LeaseLostError(lease.app, "somebody faster") from refusal
            raise

    def desired(self, stores: Stores, app: str, channel: str, now: datetime) -> Desired:
        """Read one channel; raises as ``desired_for`` does."""
        return desired_for(stores, app, channel, now, self._next_check_in_seconds)

    # --- steps -----------------------------------------------------------------------------

    def _failure(
        self, lease: Lease, channel: str
    ) -> SignerRefusedError | InexpressibleError | None:
        # One channel's refusal must not keep another channel from its pause.
        try:
            self.enforce(lease, channel)
            # Only what is in force may complete: a paused rollout is resumed first.
            self._complete(lease, channel)
            self.enforce(lease, channel)
        except (SignerRefusedError, InexpressibleError) as failure:
            return failure
        return None

    def _take_back(
        self, lease: Lease, channel: str, refusal: SignerRefusedError, narrowing: str
    ) -> None:
        reason = f"{refusal.code}: {refusal.detail}"
        for take in chain((take_back,), repeat(give_up_returns)):
            now = self._clock.now()
            with self._database.transaction() as stores:
                lease.check(stores)
                wanted = self.desired(stores, lease.app, channel, now)
                changed = take(stores, wanted, now, reason=reason)
            # What is left narrows at most, or brings a last-good release back: a pull that
            # came in meanwhile, for example.
            left = self._wanted(lease, channel) if changed else None
            if left is not None and not left.in_force and self._is_signed(lease, left, narrowing):
                return
            if take is give_up_returns and not changed:
                return

    def _is_signed(self, lease: Lease, wanted: Desired, narrowing: str) -> bool:
        try:
            self._sign(lease, wanted, self._shown(wanted, narrowing))
        except SignerRefusedError as refusal:
            if refusal.code not in _JUDGED:
                raise
            return False
        return True

    def _shown(self, wanted: Desired, narrowing: str) -> Sequence[str]:
        only_narrows = bool(narrowing) and wanted.only_narrows(self._clock.now())
        return (narrowing,) if only_narrows else ()

    def _sign(self, lease: Lease, wanted: Desired, approvals: Sequence[str]) -> None:
        document = render_rollout(wanted.wanted)
        # A process that stalled must not have signed what others have overtaken since. While
        # the lease is ours, nobody else has recorded a state since we composed this one; and
        # if it is lost after this look, the signer sees that the state is not the newest.
        with self._database.reading() as stores:
            lease.check(stores)
            based_on = newest_version(stores, lease.app)
        try:
            state = self._signer.sign_rollout(
                lease.app, wanted.channel, document, approvals, based_on=based_on, automatic=False
            )
        except SignerRefusedError as refusal:
            if refusal.code == "stale_base":
                raise LeaseLostError(lease.app, "somebody faster") from refusal
            raise
        self._states.take_in(lease, state, submitted_by=AUTOMATIC.name)

    def _wanted(self, lease: Lease, channel: str) -> Desired | None:
        with self._database.reading() as stores:
            try:
                return self.desired(stores, lease.app, channel, self._clock.now())
            except NotRegisteredError:
                return None

    def _is_due(self, stores: Stores, app: str, channel: str, now: datetime) -> bool:
        try:
            wanted = self.desired(stores, app, channel, now)
        except (NotRegisteredError, InexpressibleError):
            return False
        return not wanted.in_force or any(is_soaked(each, now) for each in wanted.rollouts)

    def _complete(self, lease: Lease, channel: str) -> None:
        """Complete the rollouts whose last step has soaked."""
        now = self._clock.now()
        with self._database.reading() as stores:
            due = [r for r in rollouts_of(stores, lease.app, channel) if is_soaked(r, now)]
        for rollout in due:
            # Whoever changed it meanwhile knows better.
            with suppress(ConflictError), self._database.transaction() as stores:
                lease.check(stores)
                done = complete(rollout, now)
                record_change(stores, rollout, done, actor=AUTOMATIC.name, verb="complete")
