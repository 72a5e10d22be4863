"""Transactions over all stores, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from update_server.store.access import SqlAccess
from update_server.store.alerts import SqlAlerts
from update_server.store.apps import SqlApps
from update_server.store.arrivals import SqlArrivals
from update_server.store.audit import SqlAudit
from update_server.store.counters import SqlCounters
from update_server.store.crashes import SqlCrashes
from update_server.store.decisions import SqlDecisions
from update_server.store.engine import READING, make_engine
from update_server.store.errors import translated
from update_server.store.histories import SqlHistories
from update_server.store.journal import SqlJournal
from update_server.store.operators import SqlOperators
from update_server.store.outbox import SqlOutbox
from update_server.store.pending import SqlPendingVerbs
from update_server.store.quarantine import SqlQuarantine
from update_server.store.recounts import SqlRecounts
from update_server.store.registers import SqlRegisters
from update_server.store.releases import SqlReleases
from update_server.store.rollouts import SqlRollouts
from update_server.store.series import SqlSeries
from update_server.store.sessions import SqlSessions
from update_server.store.settings import SqlSettings
from update_server.store.signatures import SqlSignatures
from update_server.store.studies import SqlStudies
from update_server.store.telemetry import SqlTelemetry
from update_server.store.waivers import SqlWaivers


class SqlStores:
    """All stores over one connection, hence of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.apps = SqlApps(connection)
        self.releases = SqlReleases(connection)
        self.rollouts = SqlRollouts(connection)
        self.journal = SqlJournal(connection)
        self.access = SqlAccess(connection)
        self.operators = SqlOperators(connection)
        self.audit = SqlAudit(connection)
        self.telemetry = SqlTelemetry(connection)
        self.studies = SqlStudies(connection)
        self.registers = SqlRegisters(connection)
        self.decisions = SqlDecisions(connection)
        self.histories = SqlHistories(connection)
        self.signatures = SqlSignatures(connection)
        self.crashes = SqlCrashes(connection)
        self.sessions = SqlSessions(connection)
        self.pending = SqlPendingVerbs(connection)
        self.waivers = SqlWaivers(connection)
        self.settings = SqlSettings(connection)
        self.quarantine = SqlQuarantine(connection)
        self.arrivals = SqlArrivals(connection)
        self.counters = SqlCounters(connection)
        self.recounts = SqlRecounts(connection)
        self.series = SqlSeries(connection)
        self.outbox = SqlOutbox(connection)
        self.alerts = SqlAlerts(connection)


class SqlDatabase:
    """The database at *url*, whose tables ``migrate`` has made. Opens nothing by itself.

    Threads may share it; processes that fork must not.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._reading = self._engine.execution_options(**{READING: True})

    @contextmanager
    def transaction(self) -> Iterator[SqlStores]:
        """Let the block write, and commit when it ends without an error.

        Writers take turns: a second one waits here, up to half a minute.

        Raises:
            UnavailableError: The database does not answer, or its turn did not come.
        """
        with translated(), self._engine.begin() as connection:
            yield SqlStores(connection)

    @contextmanager
    def reading(self) -> Iterator[SqlStores]:
        """Let the block read one snapshot; it waits for nobody.

        Raises:
            ReadOnlyError: The block tried to write.
            UnavailableError: The database does not answer.
        """
        with translated(), self._reading.begin() as connection:
            yield SqlStores(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
