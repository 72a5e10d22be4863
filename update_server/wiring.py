"""The composition: settings in, ready parts out. The only place that knows every adapter.

Imported by the processes, the commands that work on this machine's own data, and tests.
"""

from __future__ import annotations

import atexit
import hashlib
import secrets
import sys
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from rollout.model import RolloutId
from signing.errors import SigningError
from update_server.blobs import LocalBlobs
from update_server.clock import SystemClock
from update_server.config import Config
from update_server.config_tee import dsn_of
from update_server.controller import Controller, Leadership
from update_server.couriers import Couriers
from update_server.minidumps import ChildReader
from update_server.passwords import Argon2Passwords
from update_server.service.agents.refresh import Refresher, ensure_secrets
from update_server.service.agents.table import Tables
from update_server.service.crashes.dumps import Dumps
from update_server.service.errors import ServiceError
from update_server.service.notices import server_announcements
from update_server.service.notices.deliver import Deliverer, Events, Subscriber
from update_server.service.notices.server_watch import ServerWatch
from update_server.service.ports import (
    ApiToken,
    PortError,
    Role,
    SignerRefusedError,
    Stores,
)
from update_server.service.ports import Signer as SignerPort
from update_server.service.ports.outbox import UndeliveredError
from update_server.service.repository.fsck import Finding, Fsck
from update_server.service.repository.rebuild import rebuild as rebuild_database
from update_server.service.rollouts.recount import Recounter
from update_server.service.studies.carry_out import Executor
from update_server.service.studies.judge import Judge
from update_server.service.telemetry.digest import Digest
from update_server.signer.link import SocketSigner
from update_server.signer.online import OnlineSigner
from update_server.spool import DumpFolder, FileSpool, FileSpoolReader
from update_server.store import SqlDatabase
from update_server.web.admin.services import AdminServices, admin_services
from update_server.web.public.proxies import Proxies
from update_server.web.public.services import Offload, public_services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from update_server.tee import Tee

FAULTS: tuple[type[Exception], ...] = (PortError, ServiceError, SigningError)
"""What any function here, and what it returns, may raise when the server's data is not in order
or out of reach."""

_SECRET_BYTES = 32
_TOKEN_BYTES = 32
_SPOOLS = "spool"
_OFFLOAD_HEADERS = {"x-accel-redirect": "X-Accel-Redirect", "x-sendfile": "X-Sendfile"}


class RandomIds:
    """Names drawn at random. Satisfies ``service.ports.Ids``."""

    def rollout_id(self) -> RolloutId:
        """Return a new rollout's name."""
        return RolloutId(self.short_id("ro_"))

    def short_id(self, prefix: str) -> str:
        """Return *prefix* and 16 characters: 64 bits, for names that are no secrets."""
        return prefix + secrets.token_hex(8)

    def secret(self, prefix: str) -> str:
        """Return *prefix* and 256 bits."""
        return prefix + secrets.token_urlsafe(_TOKEN_BYTES)


def log(process: str) -> Callable[[str], None]:
    """Return what writes a line to the server's log, on standard error."""

    def write(message: str) -> None:
        sys.stderr.write(f"serinus {process}: {message}\n")
        sys.stderr.flush()

    return write


# --- adapters ----------------------------------------------------------------------------


def database(config: Config) -> SqlDatabase:
    """Return the server's database."""
    return SqlDatabase(config.database)


def blobs(config: Config) -> LocalBlobs:
    """Return the server's blob store."""
    return LocalBlobs(config.data / "files")


def signer(config: Config) -> OnlineSigner:
    """Return the signer itself. Only its own process, and ``serinus init``, may hold it."""
    return OnlineSigner(config.data / "signer", database(config), SystemClock(), Argon2Passwords())


def signer_fault(config: Config, app: str) -> str | None:
    """Return why the running signer cannot serve *app*; None when it can."""
    try:
        SocketSigner(config.signer_socket).status(app)
    except PortError as error:
        return str(error)
    return None


def signer_answers(config: Config) -> bool:
    """Tell whether a signer runs, whatever it knows."""
    try:
        SocketSigner(config.signer_socket).status("probe")
    except SignerRefusedError:
        return True
    except PortError:
        return False
    return True


# --- before the first start --------------------------------------------------------------


def prepare(config: Config) -> None:
    """Make the data folder, bring the tables up to date, and draw the server's secrets."""
    from update_server.store.migration import migrate  # noqa: PLC0415 - slow, and only for this

    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("files", "signer", _SPOOLS):
        (config.data / name).mkdir(mode=0o700, exist_ok=True)
    migrate(config.database)
    ensure_secrets(database(config), lambda: secrets.token_bytes(_SECRET_BYTES))


def first_token(config: Config) -> str:
    """Store a new admin token for all apps and return it."""
    token = RandomIds().secret("srn_")
    with database(config).transaction() as stores:
        _add_admin(stores, token, "serinus init")
    return token


def token_if_none(config: Config, write_down: Callable[[str], None]) -> bool:
    """Store a new admin token for all apps if there is none; return whether.

    It is valid only if it could be written down: nobody could ask for another one.
    """
    now = SystemClock().now()
    with database(config).transaction() as stores:
        for known in stores.access.tokens():
            expired = known.expires_at is not None and known.expires_at <= now
            is_admin = known.role is Role.ADMIN and known.app is None
            if is_admin and known.revoked_at is None and not expired:
                return False
        token = RandomIds().secret("srn_")
        _add_admin(stores, token, "serinus fsck")
        write_down(token)
    return True


def _add_admin(stores: Stores, token: str, actor: str) -> None:
    now = SystemClock().now()
    stores.access.add_token(
        ApiToken(
            id=RandomIds().short_id("tok_"),
            sha256=hashlib.sha256(token.encode()).hexdigest(),
            name="first administrator",
            role=Role.ADMIN,
            app=None,
            created_at=now,
        )
    )
    stores.audit.append(at=now, actor=actor, action="token.create", app=None, subject="admin")


# --- apps --------------------------------------------------------------------------------


def public_app(config: Config) -> WSGIApplication:
    """Return the public app of one web process, its tables kept fresh by a thread."""
    from update_server.web.public.app import create_app  # noqa: PLC0415 - for web processes only

    clock = SystemClock()
    source = database(config)
    tables = Tables(clock, config.lease_seconds)
    refresher = Refresher(source, tables, clock)
    threading.Thread(
        target=refresher.run, args=(threading.Event(),), name="refresher", daemon=True
    ).start()
    spool = FileSpool(config.data / _SPOOLS, f"web-{uuid.uuid4().hex}")
    atexit.register(spool.close)  # contacts are written within a fifth of a second; events at once
    return create_app(
        public_services(
            tables=tables,
            database=source,
            blobs=blobs(config),
            spool=spool,
            dumps=_dump_folder(config),
            clock=clock,
            ids=RandomIds(),
            next_check_in_seconds=config.next_check_in_seconds,
            offload=_offload(config),
            proxies=Proxies(config.trusted_proxies),
            processes=config.workers,
            tee=_tee(config, clock),
        )
    )


def _tee(config: Config, clock: SystemClock) -> Tee | None:
    if not config.tee:
        return None
    from update_server.tee import Tee  # noqa: PLC0415 - slow, and seldom wanted

    return Tee(config.tee, clock)


def _dump_folder(config: Config) -> DumpFolder:
    return DumpFolder(config.data / _SPOOLS / "dumps")


def admin_app(config: Config) -> WSGIApplication:
    """Return the admin app of one web process."""
    return _admin_app(_admin_services(config, SocketSigner(config.signer_socket)))


def local_admin_app(config: Config) -> WSGIApplication:
    """Return the admin app with the signer in this process, for ``serinus init``."""
    return _admin_app(_admin_services(config, signer(config)))


def _admin_app(services: AdminServices) -> WSGIApplication:
    from update_server.web.admin.app import create_app  # noqa: PLC0415 - for web processes only

    return create_app(services)


def _admin_services(config: Config, signing: SignerPort) -> AdminServices:
    def passed_on_to(app: str) -> str | None:
        dsn = dsn_of(config.tee, app)
        return None if dsn is None else dsn.host

    clock = SystemClock()
    return admin_services(
        database=database(config),
        blobs=blobs(config),
        signer=signing,
        spools=FileSpoolReader(config.data / _SPOOLS),
        dumps=_dump_folder(config),
        passwords=Argon2Passwords(),
        passwords_again=Argon2Passwords(at_once=2),
        clock=clock,
        ids=RandomIds(),
        wait=clock.sleep,
        lease_seconds=config.lease_seconds,
        next_check_in_seconds=config.next_check_in_seconds,
        proxies=Proxies(config.trusted_proxies),
        dashboard=config.dashboard,
        passed_on_to=passed_on_to,
    )


def _offload(config: Config) -> Offload | None:
    if not config.file_offload:
        return None
    header = _OFFLOAD_HEADERS[config.file_offload]
    prefix = "/files/" if header == "X-Accel-Redirect" else f"{config.data / 'files'}/"
    return Offload(header=header, prefix=prefix)


# --- the controller ----------------------------------------------------------------------


def controller(config: Config) -> Controller:
    """Return the controller of this server."""
    services = _admin_services(config, SocketSigner(config.signer_socket))
    source = database(config)
    clock = SystemClock()
    reader = ChildReader()
    atexit.register(reader.close)
    return Controller(
        source,
        clock,
        leadership=Leadership(source, clock, RandomIds().short_id("controller_")),
        blobs=blobs(config),
        digest=Digest(
            source,
            FileSpoolReader(config.data / _SPOOLS),
            clock=clock,
            dumps=Dumps(_dump_folder(config), reader, clock),
        ),
        judge=Judge(
            source,
            Executor(
                source,
                clock,
                control=services.control,
                holds=services.holds,
                log=log("controller"),
            ),
        ),
        reconciler=services.reconciler,
        renewer=services.renewer,
        recounter=Recounter(source, clock, next_check_in_seconds=config.next_check_in_seconds),
        log=log("controller"),
        beside=couriers(config).start,
    )


def couriers(config: Config) -> Couriers:
    """Return what brings messages to people, for the controller's process."""
    from update_server.notify import NOTIFIERS, Network  # noqa: PLC0415 - as above

    source, clock = database(config), SystemClock()
    subscribers = [
        Subscriber(
            name=each.name,
            events=Events(each.events),
            apps=frozenset(each.apps),
            escalate_to=each.escalate_to,
        )
        for each in config.notify
    ]
    notifiers = {each.name: NOTIFIERS[each.kind](each, Network()) for each in config.notify}
    deliverer = Deliverer(
        source,
        clock,
        subscribers=subscribers,
        notifiers=notifiers,
        log=log("controller"),
        url=config.dashboard.url,
    )
    name = RandomIds().short_id("couriers_")
    return Couriers(
        deliverer,
        ServerWatch(source, clock),
        clock,
        leadership=Leadership(source, clock, name, lease="*couriers"),
        log=log("controller"),
    )


def notify_fault(config: Config, name: str) -> str | None:
    """Send a message to the target *name* to see whether it arrives; return why it did not."""
    from update_server.notify import NOTIFIERS, Network  # noqa: PLC0415 - as above

    settings = next(each for each in config.notify if each.name == name)
    now = SystemClock().now()
    message = server_announcements.trial_message(RandomIds().short_id("msg_"), name, now)
    try:
        NOTIFIERS[settings.kind](settings, Network()).send(message, now)
    except UndeliveredError as error:
        return error.why
    return None


def refresh_once(config: Config) -> list[str]:
    """Renew every registered app's metadata with the signer in this process."""
    services = _admin_services(config, signer(config))
    apps = [app.name for app in services.apps.all() if app.registered]
    for app in apps:
        services.renewer.renew(app)
    return apps


# --- repair ------------------------------------------------------------------------------


def check(config: Config) -> tuple[Finding, ...]:
    """Return where storage, journal, signed documents and database disagree."""
    seconds = config.next_check_in_seconds
    return Fsck(
        database(config), blobs(config), SystemClock(), next_check_in_seconds=seconds
    ).check()


def rebuild(config: Config) -> tuple[str, ...]:
    """Rebuild the database from the signed metadata in storage; return the apps."""
    return rebuild_database(database(config), blobs(config), SystemClock())
