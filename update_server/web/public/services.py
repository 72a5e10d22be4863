"""What the public app needs: ready use-cases, made once for a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from update_server.service.agents.check_in import CheckIns
from update_server.service.agents.enrol import Enrol
from update_server.service.agents.files import Files
from update_server.service.agents.forget import Forget
from update_server.service.agents.table import Tables
from update_server.service.agents.throttle import Throttle
from update_server.service.crashes.reports import Reports
from update_server.service.notices.feed import Feed
from update_server.service.ports import Blobs, Clock, Database, Ids, Spool
from update_server.service.ports.dumps import DumpFiles
from update_server.service.telemetry.ingest import Ingest
from update_server.web.public.proxies import Proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class Offload:
    """Let the proxy in front send files: *header* with *prefix* before the file's key.

    ``X-Accel-Redirect`` with an internal location of nginx, or ``X-Sendfile`` with the
    folder of the blobs.
    """

    header: str
    prefix: str


class Tee(Protocol):
    """Passes accepted envelopes on to the team's own Sentry."""

    @property
    def dropped(self) -> int: ...  # how many were not passed on
    def pass_on(self, app: str, envelope: bytes) -> None: ...  # returns at once


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicServices:
    """The use-cases behind the public app. ``offload`` None: this process sends files.

    ``proxies`` are those in front whose word for a client's address is believed. ``tee`` None:
    nothing is passed on.
    """

    tables: Tables
    spool: Spool
    check_ins: CheckIns
    ingest: Ingest
    reports: Reports
    enrol: Enrol
    forget: Forget
    files: Files
    feed: Feed
    offload: Offload | None = None
    proxies: Proxies = field(default_factory=Proxies)
    tee: Tee | None = None


def public_services(
    *,
    tables: Tables,
    database: Database,
    blobs: Blobs,
    spool: Spool,
    dumps: DumpFiles,
    clock: Clock,
    ids: Ids,
    next_check_in_seconds: int,
    offload: Offload | None = None,
    proxies: Proxies | None = None,
    processes: int = 1,
    tee: Tee | None = None,
) -> PublicServices:
    """Return the use-cases over these adapters. A ``Refresher`` keeps *tables* fresh.

    *processes* as many as this one share what is offered a minute.
    """
    return PublicServices(
        tables=tables,
        spool=spool,
        check_ins=CheckIns(tables, spool, clock, next_check_in_seconds, Throttle(processes)),
        ingest=Ingest(tables, spool, clock),
        reports=Reports(tables, spool, clock, dumps),
        enrol=Enrol(database, tables, clock, ids),
        forget=Forget(tables, spool, clock),
        files=Files(tables, blobs),
        feed=Feed(tables, database, clock),
        offload=offload,
        proxies=proxies or Proxies(),
        tee=tee,
    )
