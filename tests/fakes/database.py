"""Transactions in memory: a copy that is kept when the block ends without an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fakes.access import FakeAccess
from tests.fakes.counters import FakeCounters
from tests.fakes.crashes import FakeCrashes, FakeSessions
from tests.fakes.evidence import FakeAudit, FakeTelemetry
from tests.fakes.operators import FakeOperators
from tests.fakes.outbox import FakeAlerts, FakeOutbox
from tests.fakes.pending import FakePendingVerbs
from tests.fakes.quarantine import FakeArrivals, FakeQuarantine
from tests.fakes.recounts import FakeRecounts
from tests.fakes.series import FakeSeries
from tests.fakes.settings import FakeSettings
from tests.fakes.signatures import FakeSignatures
from tests.fakes.state import State
from tests.fakes.stores import FakeApps, FakeJournal, FakeReleases, FakeRollouts
from tests.fakes.studies import FakeDecisions, FakeHistories, FakeRegisters, FakeStudies
from tests.fakes.waivers import FakeWaivers
from update_server.service.ports import UnavailableError


class FakeStores:
    """All stores over one state."""

    def __init__(self, state: State) -> None:
        self.apps = FakeApps(state)
        self.releases = FakeReleases(state)
        self.rollouts = FakeRollouts(state)
        self.journal = FakeJournal(state)
        self.access = FakeAccess(state)
        self.operators = FakeOperators(state)
        self.audit = FakeAudit(state)
        self.telemetry = FakeTelemetry(state)
        self.studies = FakeStudies(state)
        self.registers = FakeRegisters(state)
        self.decisions = FakeDecisions(state)
        self.histories = FakeHistories(state)
        self.signatures = FakeSignatures(state)
        self.crashes = FakeCrashes(state)
        self.sessions = FakeSessions(state)
        self.pending = FakePendingVerbs(state)
        self.waivers = FakeWaivers(state)
        self.settings = FakeSettings(state)
        self.quarantine = FakeQuarantine(state)
        self.arrivals = FakeArrivals(state)
        self.counters = FakeCounters(state)
        self.recounts = FakeRecounts(state)
        self.series = FakeSeries(state)
        self.outbox = FakeOutbox(state)
        self.alerts = FakeAlerts(state)


class FakeDatabase:
    """A database in memory. ``down`` lets it be unavailable."""

    def __init__(self) -> None:
        self._state = State()
        self._turn = threading.Lock()
        self.down = False

    @contextmanager
    def transaction(self) -> Iterator[FakeStores]:
        if self.down or not self._turn.acquire(timeout=30):
            raise UnavailableError("the database does not answer")
        try:
            state = self._state.copy(writable=True)
            yield FakeStores(state)
            self._state = state.copy(writable=False)
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[FakeStores]:
        if self.down:
            raise UnavailableError("the database does not answer")
        yield FakeStores(self._state)

    def close(self) -> None:
        """Do nothing."""
