"""All stores, and transactions over them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from update_server.service.ports.access import (
    Access,
)
from update_server.service.ports.apps import Apps
from update_server.service.ports.arrivals import ArrivalStore
from update_server.service.ports.audit import Audit
from update_server.service.ports.counters import Counters
from update_server.service.ports.crashes import Crashes, Sessions
from update_server.service.ports.operators import Operators
from update_server.service.ports.outbox import Alerts, Outbox
from update_server.service.ports.pending import PendingVerbs
from update_server.service.ports.quarantine import QuarantineStore
from update_server.service.ports.recounts import Recounts
from update_server.service.ports.releases import (
    Journal,
    Releases,
)
from update_server.service.ports.rollouts import Rollouts
from update_server.service.ports.series import Series
from update_server.service.ports.settings import SettingsStore
from update_server.service.ports.signatures import Signatures
from update_server.service.ports.studies import Decisions, Histories, Registers, Studies
from update_server.service.ports.telemetry import (
    Telemetry,
)
from update_server.service.ports.waivers import WaiverStore


class Stores(Protocol):
    """All stores of one transaction."""

    @property
    def apps(self) -> Apps: ...
    @property
    def releases(self) -> Releases: ...
    @property
    def rollouts(self) -> Rollouts: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def access(self) -> Access: ...
    @property
    def operators(self) -> Operators: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def studies(self) -> Studies: ...
    @property
    def registers(self) -> Registers: ...
    @property
    def decisions(self) -> Decisions: ...
    @property
    def histories(self) -> Histories: ...
    @property
    def signatures(self) -> Signatures: ...
    @property
    def crashes(self) -> Crashes: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def pending(self) -> PendingVerbs: ...
    @property
    def waivers(self) -> WaiverStore: ...
    @property
    def settings(self) -> SettingsStore: ...
    @property
    def quarantine(self) -> QuarantineStore: ...
    @property
    def arrivals(self) -> ArrivalStore: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def recounts(self) -> Recounts: ...
    @property
    def series(self) -> Series: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def alerts(self) -> Alerts: ...


class Database(Protocol):
    """Transactions over the stores."""

    def transaction(self) -> AbstractContextManager[Stores]: ...
    def reading(self) -> AbstractContextManager[Stores]: ...  # a snapshot; writing is an error
