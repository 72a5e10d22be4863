"""The loop that keeps a server going: it digests, judges, counts, ends what was begun, renews.

Several controllers may run. One at a time leads, by a lease in the database; the others wait
for it to run out. Everything here is level-triggered, so a new leader just goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from update_server.service.crashes import book as crash_book
from update_server.service.duties import Duties
from update_server.service.ports import Blobs, Clock, Database, LeaseLostError
from update_server.service.repository.reconcile import Reconciler
from update_server.service.repository.renew import Renewer
from update_server.service.rollouts import version_days
from update_server.service.rollouts.recount import Recounter
from update_server.service.studies.judge import Judge
from update_server.service.telemetry import arrivals, quarantine
from update_server.service.telemetry.digest import Digest, Digested

# Whoever watches a rollout is to see a report within two seconds; half of that is its way here.
PAUSE_SECONDS: Final = 0.5
# How often studies are looked at when nothing was received.
JUDGE_SECONDS: Final = 2.0
# A web process writes a check-in down within a fifth of a second.
SPOOLED_WITHIN: Final = timedelta(seconds=0.5)
# What was signed and never recorded shows only when the signer is asked.
LOOK_CLOSER_SECONDS: Final = 60.0
# How long a dead leader keeps the others waiting, and how often a living one says so.
LEAD_SECONDS: Final = 10
EXTEND_SECONDS: Final = 3.0
# Retention of identities (docs/architecture.md, Telemetry) and of abandoned uploads.
TIDY_SECONDS: Final = 86_400.0
KEEP_CONTACTS: Final = timedelta(days=180)
KEEP_EVENT_IDS: Final = timedelta(days=35)
KEEP_REGISTERS: Final = timedelta(days=30)  # after the end of the rollout
KEEP_SIGNATURES: Final = timedelta(days=400)  # they hold no identity
KEEP_UPLOADS: Final = timedelta(days=7)

_LEADER: Final = "*controller"


class Leadership:
    """The right to be the one that works: as controller, or at whatever else *lease* names."""

    def __init__(
        self, database: Database, clock: Clock, name: str, *, lease: str = _LEADER
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._lease = lease
        self._extended_at: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process leads for all that it knows; for other threads than that one."""
        extended_at = self._extended_at
        return extended_at is not None and self._clock.monotonic() - extended_at < LEAD_SECONDS

    def holds(self) -> bool:
        """Tell whether this process leads, taking or keeping the lead where it can."""
        now = self._clock.monotonic()
        if self._extended_at is not None and now - self._extended_at < EXTEND_SECONDS:
            return True
        try:
            with self._database.transaction() as stores:
                stores.apps.take_lease(self._lease, self._name, self._clock.now(), LEAD_SECONDS)
        except LeaseLostError:
            self._extended_at = None
            return False
        self._extended_at = now
        return True


class Controller:
    """One round after the other, until it is told to stop.

    Each duty may fail by itself, says so once when it begins to fail and once when it works
    again, and never keeps the others from theirs.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        leadership: Leadership,
        blobs: Blobs,
        digest: Digest,
        judge: Judge,
        reconciler: Reconciler,
        renewer: Renewer,
        recounter: Recounter,
        log: Callable[[str], None],
        beside: Callable[[threading.Event], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._leadership = leadership
        self._blobs = blobs
        self._digest = digest
        self._judge = judge
        self._reconciler = reconciler
        self._renewer = renewer
        self._recounter = recounter
        self._day_counter = version_days.DayCounter(database, clock)
        self._beside = beside
        self._duties = Duties(clock, log)
        self._caught_up_to = datetime.min.replace(tzinfo=UTC)

    def run(self, stop: threading.Event) -> None:
        """Work until *stop* is set, and let what works beside it begin."""
        self._beside(stop)
        while not stop.is_set():
            self.round()
            stop.wait(PAUSE_SECONDS)

    def round(self) -> None:
        """Do once all there is to do, if this process leads."""
        if not self._duties.attempt("leading", self._leadership.holds):
            return
        began_at = self._clock.now()
        digested = self._duties.attempt("telemetry", self._digest.run)
        if digested is not None:
            self._judge_all(digested, began_at)
        self._duties.attempt("counting", self._recounter.step)
        if self._duties.is_time("tidy", TIDY_SECONDS):
            self._duties.attempt("tidying", self._tidy)
        self._duties.attempt("versions of the day", self._day_counter.step)
        closer = self._duties.is_time("look closer", LOOK_CLOSER_SECONDS)
        for app in self._duties.attempt("apps", self._registered) or ():
            self._duties.attempt(f"rollouts of {app}", partial(self._reconcile, app, closer=closer))
            self._duties.attempt(f"metadata of {app}", partial(self._renew, app))

    def _judge_all(self, digested: Digested, began_at: datetime) -> None:
        """Judge by what is digested; by the time alone only if nothing is left in the spools."""
        news = digested.contacts or digested.events or self._judge.hurries
        if not news and not self._duties.is_time("judging", JUDGE_SECONDS):
            return
        if not digested.more:
            self._caught_up_to = began_at - SPOOLED_WITHIN
        for study in self._duties.attempt("studies", self._judge.studies) or ():
            duty = f"judging {study.rollout}"
            self._duties.attempt(duty, partial(self._judge.judge, study, self._caught_up_to))
        for decision in self._duties.attempt("decisions", self._judge.undone) or ():
            duty = f"decision {decision.id}"
            self._duties.attempt(duty, partial(self._judge.carry_out, decision))

    def _registered(self) -> list[str]:
        with self._database.reading() as stores:
            return [app.name for app in stores.apps.all() if app.registered]

    def _reconcile(self, app: str, *, closer: bool) -> None:
        if closer or self._reconciler.is_due(app):
            self._reconciler.reconcile(app)

    def _renew(self, app: str) -> None:
        if self._renewer.is_due(app):
            self._renewer.renew(app)

    def _tidy(self) -> None:
        now = self._clock.now()
        with self._database.transaction() as stores:
            stores.telemetry.expire(
                contacts_before=now - KEEP_CONTACTS, events_before=now - KEEP_EVENT_IDS
            )
            stores.histories.expire(heard_before=(now - KEEP_CONTACTS).timestamp())
            stores.studies.expire(ended_before=now - KEEP_REGISTERS)
            stores.signatures.expire(seen_before=now - KEEP_SIGNATURES)
            crash_book.expire(stores, now)
            version_days.expire(stores, now)
            stores.quarantine.expire(now - quarantine.KEPT)
            stores.arrivals.expire(now - arrivals.KEPT)
        self._blobs.sweep(now, KEEP_UPLOADS)
