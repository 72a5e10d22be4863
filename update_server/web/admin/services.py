"""The use-cases behind the admin app, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from update_server.config_dashboard import Dashboard
from update_server.service.access.access import Groups, Tokens
from update_server.service.access.apps import AppRegistry
from update_server.service.access.audit import AuditLog
from update_server.service.access.lock_out import LockOut
from update_server.service.access.operators import Operators
from update_server.service.access.own_password import OwnPassword
from update_server.service.access.replays import Replays
from update_server.service.access.sign_in import SignIn
from update_server.service.crashes.groups import CrashGroups
from update_server.service.notices.notifications import Notifications
from update_server.service.ports import Blobs, Clock, Database, Ids, Signer, SpoolReader
from update_server.service.ports.dumps import DumpFiles
from update_server.service.ports.passwords import Passwords
from update_server.service.repository.leases import Leases
from update_server.service.repository.publish import Publisher
from update_server.service.repository.reconcile import Reconciler
from update_server.service.repository.renew import Renewer
from update_server.service.repository.states import SignedStates
from update_server.service.repository.uploads import Uploads
from update_server.service.rollouts.control import Control
from update_server.service.rollouts.explain import Explain
from update_server.service.rollouts.fleet import Fleets
from update_server.service.rollouts.holds import Holds
from update_server.service.rollouts.look import Looks
from update_server.service.rollouts.report import Report
from update_server.service.rollouts.second_person import SecondPerson
from update_server.service.rollouts.stragglers import Stragglers
from update_server.service.rollouts.version_days import VersionHistory
from update_server.service.studies.decisions import DecisionLog
from update_server.service.studies.series import EvidenceSeries
from update_server.service.studies.strikes import Strikes
from update_server.service.studies.waivers import Waivers
from update_server.service.telemetry.exports import Exports
from update_server.service.telemetry.health import TelemetryReport
from update_server.service.telemetry.quarantine import Quarantine
from update_server.service.telemetry.settings import TelemetrySettings
from update_server.web.public.proxies import Proxies

# An answer that a web process began within its lease is on its way for some time.
_MARGIN_SECONDS: Final = 0.25


def nobody(_app: str) -> None:
    """Return that reports are passed on to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminServices:
    """What publishers and operators can ask for. The controller uses ``reconciler``, ``renewer``.

    ``passed_on_to`` tells by app to whose Sentry accepted reports go as well, if to any.
    """

    clock: Clock
    apps: AppRegistry
    tokens: Tokens
    operators: Operators
    sign_in: SignIn
    own_password: OwnPassword
    groups: Groups
    uploads: Uploads
    publisher: Publisher
    control: Control
    second_person: SecondPerson
    holds: Holds
    waivers: Waivers
    crashes: CrashGroups
    settings: TelemetrySettings
    quarantine: Quarantine
    telemetry: TelemetryReport
    report: Report
    looks: Looks
    exports: Exports
    decisions: DecisionLog
    series: EvidenceSeries
    strikes: Strikes
    fleets: Fleets
    stragglers: Stragglers
    version_history: VersionHistory
    explain: Explain
    audit: AuditLog
    notifications: Notifications
    replays: Replays
    reconciler: Reconciler
    renewer: Renewer
    proxies: Proxies
    dashboard: Dashboard
    passed_on_to: Callable[[str], str | None] = nobody


def admin_services(
    *,
    database: Database,
    blobs: Blobs,
    signer: Signer,
    spools: SpoolReader,
    dumps: DumpFiles,
    passwords: Passwords,
    clock: Clock,
    ids: Ids,
    wait: Callable[[float], None],
    lease_seconds: float,
    next_check_in_seconds: int,
    proxies: Proxies,
    dashboard: Dashboard = Dashboard(),  # noqa: B008 - a frozen value
    passed_on_to: Callable[[str], str | None] = nobody,
    passwords_again: Passwords | None = None,
) -> AdminServices:
    """Return the use-cases over these ports.

    ``passwords_again`` checks those of who is signed in; None: as the others'.
    ``wait`` waits so many seconds. ``lease_seconds`` is how long a web process may offer what
    it last confirmed, ``next_check_in_seconds`` what signed documents ask of agents.
    """
    leases = Leases(database, clock, ids, wait)
    states = SignedStates(database, blobs, signer, clock)
    reconciler = Reconciler(
        database,
        signer,
        clock,
        leases=leases,
        states=states,
        next_check_in_seconds=next_check_in_seconds,
    )
    second_person = SecondPerson(database, clock, ids, signer=signer)
    sign_in = SignIn(
        database,
        clock,
        ids,
        passwords=passwords,
        lock_out=LockOut(database, clock),
        again=passwords_again,
    )
    report = Report(
        database,
        clock,
        next_check_in_seconds=next_check_in_seconds,
        lease_seconds=lease_seconds,
    )
    return AdminServices(
        clock=clock,
        apps=AppRegistry(database, signer, clock),
        tokens=Tokens(database, clock, ids),
        operators=Operators(database, clock, ids, passwords),
        sign_in=sign_in,
        own_password=OwnPassword(database, clock, passwords=passwords, sign_in=sign_in),
        groups=Groups(database, clock, ids),
        uploads=Uploads(database, blobs, clock),
        publisher=Publisher(database, blobs, signer, clock, leases=leases, states=states),
        control=Control(
            database,
            clock,
            ids,
            reconciler=reconciler,
            second_person=second_person,
            settle=lambda: wait(lease_seconds + _MARGIN_SECONDS),
        ),
        second_person=second_person,
        holds=Holds(database, clock, ids, reconciler=reconciler, second_person=second_person),
        waivers=Waivers(database, clock, ids),
        crashes=CrashGroups(database, clock),
        settings=TelemetrySettings(database, clock, ids),
        quarantine=Quarantine(database, clock),
        telemetry=TelemetryReport(database, clock),
        report=report,
        looks=Looks(database, clock, report),
        exports=Exports(database, clock, spools=spools, dumps=dumps),
        decisions=DecisionLog(database),
        series=EvidenceSeries(database, clock),
        strikes=Strikes(database, clock),
        fleets=Fleets(database, clock),
        stragglers=Stragglers(database, clock, next_check_in_seconds=next_check_in_seconds),
        version_history=VersionHistory(database, clock),
        explain=Explain(database, clock),
        audit=AuditLog(database),
        notifications=Notifications(database),
        replays=Replays(database, clock),
        reconciler=reconciler,
        renewer=Renewer(database, signer, clock, leases=leases, states=states),
        proxies=proxies,
        dashboard=dashboard,
        passed_on_to=passed_on_to,
    )
