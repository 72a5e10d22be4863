"""A server's public side in one process, over fakes, with a clock that tests move."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.version import Version

from rollout.documents import (
    path_of_release,
    release_folder,
    render_policy,
    render_release,
    render_rollout,
)
from rollout.model import (
    Artifact,
    Audience,
    Entry,
    InstallId,
    OpenRing,
    Policy,
    Release,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)
from tests.fakes import (
    FakeBlobs,
    FakeClock,
    FakeDatabase,
    FakeDumpFiles,
    FakeIds,
    FakeSpoolReader,
)
from update_server.service.agents.check_in import Answer, CheckIn
from update_server.service.agents.pseudonyms import hash_of_secret, install_key
from update_server.service.agents.refresh import Refresher, ensure_secrets
from update_server.service.agents.table import Tables
from update_server.service.ports import (
    App,
    Contact,
    Enrolment,
    EnrolmentCode,
    Event,
    Group,
    StoredDocument,
    StoredRelease,
    StoredTarget,
    Stores,
    UnavailableError,
)
from update_server.service.telemetry.notes import NOTES
from update_server.web.public.services import Offload, PublicServices, Tee, public_services

APP = "demo"
CHANNEL = "stable"
PLATFORM = "linux-x86_64"
NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
LEASE_SECONDS = 2
SALT = bytes(range(32))
LOW_BUCKET = InstallId("00000000-0000-4000-8000-00000000387e")  # bucket 0 with SALT
HIGH_BUCKET = InstallId("00000000-0000-4000-8000-000000001429")  # bucket 9999 with SALT
V1 = Version("2.0.0")
V2 = Version("2.1.0")
ELSEWHERE = Version("3.0.0")
"""What is published on another channel only, once a test asks for that."""
ROLLOUT = RolloutId("ro_7k2m")


class SwitchedDatabase:
    """A database whose cable can be pulled, and whose transactions are counted."""

    def __init__(self) -> None:
        self._inner = FakeDatabase()
        self.is_down = False
        self.transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        self._use()
        with self._inner.transaction() as stores:
            yield stores

    @contextmanager
    def reading(self) -> Iterator[Stores]:
        self._use()
        with self._inner.reading() as stores:
            yield stores

    def _use(self) -> None:
        if self.is_down:
            raise UnavailableError("connection refused by 10.0.0.7")
        self.transactions += 1


@dataclass
class World:
    """One app with one channel, and the use-cases of one web process over it."""

    database: SwitchedDatabase = field(default_factory=SwitchedDatabase)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    spools: FakeSpoolReader = field(default_factory=FakeSpoolReader)
    ids: FakeIds = field(default_factory=FakeIds)
    dumps: FakeDumpFiles = field(default_factory=FakeDumpFiles)
    _documents: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.spool = self.spools.writer("web-1")
        self.tables = Tables(self.clock, LEASE_SECONDS)
        self.refresher = Refresher(self.database, self.tables, self.clock)
        self.services = self.make_services()

    @property
    def contacts(self) -> list[Contact]:
        """The contacts that were spooled, oldest first."""
        return [record for record in self._spooled() if isinstance(record, Contact)]

    @property
    def taken(self) -> list[Event]:
        """The events that were spooled, oldest first."""
        return [event for event in self._events() if event.kind not in NOTES]

    @property
    def noted(self) -> list[Event]:
        """The notes that were spooled, oldest first."""
        return [event for event in self._events() if event.kind in NOTES]

    def _events(self) -> list[Event]:
        return [record for record in self._spooled() if isinstance(record, Event)]

    def _spooled(self) -> Sequence[Contact | Event]:
        return self.spools.read("web-1", 0, 1_000_000)[0]

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def make_services(
        self, offload: Offload | None = None, *, tee: Tee | None = None
    ) -> PublicServices:
        return public_services(
            tables=self.tables,
            database=self.database,
            blobs=self.blobs,
            spool=self.spool,
            dumps=self.dumps,
            clock=self.clock,
            ids=self.ids,
            next_check_in_seconds=14_400,
            offload=offload,
            tee=tee,
        )

    def refresh(self) -> None:
        self.refresher.refresh()

    def put_policy(self, **fields: Any) -> None:
        expires_at = fields.pop("expires_at", NOW + timedelta(days=90))
        self._put("policy", render_policy(a_policy(**fields)), expires_at)

    def put_rollout(self, *entries: Entry, **fields: Any) -> None:
        expires_at = fields.pop("expires_at", NOW + timedelta(hours=72))
        self._put("rollout", render_rollout(a_document(*entries, **fields)), expires_at)

    def put_release(self, version: Version, *, data: bytes = b"", **fields: Any) -> Release:
        """Admit a release whose artifact holds *data*, which is not yet anywhere."""
        release = a_release(version, **fields)
        document = render_release(release)
        with self.database.transaction() as stores:
            stores.releases.add(
                StoredRelease(
                    app=APP,
                    channel=release.channel,
                    platform=release.platform,
                    version=version,
                    number=0,
                    document=document,
                    admitted_at=NOW,
                    submitted_by="ci",
                )
            )
            stores.releases.add_targets([a_target(release, data)])
            stores.apps.bump(APP)
        return release

    def put_release_elsewhere(self) -> None:
        """Admit ``ELSEWHERE`` on a channel that no install is on, and read that."""
        self.put_release(ELSEWHERE, channel="beta")
        self.refresh()

    def place(self, release: Release, data: bytes, *, private: bool = False) -> str:
        """Put an artifact's bytes where they are served from, and return the hashed path."""
        target = a_target(release, data)
        folder, _, name = target.path.rpartition("/")
        path = f"{folder}/{target.sha256}.{name}"
        root = f"private/{APP}" if private else f"apps/{APP}"
        self.blobs.create(f"{root}/targets/{path}", data)
        return path

    def put_db_rollout(self, rollout: Rollout) -> None:
        with self.database.transaction() as stores:
            stores.rollouts.add(rollout)
            stores.apps.bump(APP)

    def enrol(self, install_id: InstallId, group: str = "staff", credential: str = "enr_x") -> str:
        with self.database.transaction() as stores:
            if group not in {known.name for known in stores.access.groups(APP)}:
                stores.access.add_group(Group(app=APP, name=group, created_at=NOW))
            pepper = stores.access.secret("pepper")
            stores.access.add_enrolment(
                Enrolment(
                    app=APP,
                    group=group,
                    install_key=install_key(pepper, APP, install_id),
                    sha256=hash_of_secret(credential),
                    created_at=NOW,
                )
            )
            stores.apps.bump(APP)
        return credential

    def put_code(self, code: str, group: str = "staff", uses: int = 1) -> None:
        with self.database.transaction() as stores:
            stores.access.add_group(Group(app=APP, name=group, created_at=NOW))
            stores.access.add_code(
                EnrolmentCode(
                    id="en_1",
                    app=APP,
                    group=group,
                    sha256=hash_of_secret(code),
                    created_at=NOW,
                    expires_at=NOW + timedelta(days=1),
                    uses_left=uses,
                )
            )

    def check_in(self, install_id: InstallId = LOW_BUCKET, **fields: Any) -> Answer:
        return self.services.check_ins.answer(APP, a_check_in(install_id, **fields))

    def _put(self, kind: str, document: bytes, expires_at: datetime) -> None:
        with self.database.transaction() as stores:
            stores.releases.put_document(
                StoredDocument(
                    app=APP,
                    channel=CHANNEL,
                    kind=kind,
                    version=next(self._documents),
                    expires_at=expires_at,
                    document=document,
                )
            )
            stores.apps.bump(APP)


def empty_world() -> World:
    """Return a server on which nothing is registered."""
    world = World()
    ensure_secrets(world.database, lambda: b"s" * 32)
    return world


def a_world() -> World:
    """Return a server with 2.0.0 released to all, and 2.1.0 in the rings internal and 1%."""
    world = empty_world()
    add_app(world)
    world.put_policy()
    world.put_release(V1, data=b"one")
    world.put_release(V2, data=b"two")
    world.put_rollout(an_entry(), a_completed_entry())
    world.refresh()
    return world


def add_app(world: World, name: str = APP) -> None:
    with world.database.transaction() as stores:
        stores.apps.add(
            App(
                name=name,
                number=0,
                created_at=NOW,
                channels=(CHANNEL,),
                platforms=(PLATFORM,),
                registered=True,
            )
        )


def a_check_in(install_id: InstallId = LOW_BUCKET, **fields: Any) -> CheckIn:
    known: dict[str, Any] = {"version": V1, "channel": CHANNEL, "platform": PLATFORM}
    return CheckIn(install_id=install_id, **{**known, **fields})


def a_policy(**fields: Any) -> Policy:
    known: dict[str, Any] = {
        "app": APP,
        "channel": CHANNEL,
        "issued": NOW,
        "internal_groups": ("staff",),
        "link_hosts": ("status.example.org",),
        "ramp": (
            Step(ring="internal"),
            Step(ring="1%", exposure_bp=100),
            Step(ring="all", exposure_bp=10_000),
        ),
    }
    return Policy(**{**known, **fields})


def an_entry(**fields: Any) -> Entry:
    known: dict[str, Any] = {
        "version": V2,
        "state": RolloutState.ACTIVE,
        "exposure_bp": 100,
        "rollout": ROLLOUT,
        "rings": (
            OpenRing(name="internal", exposure_bp=10_000, audience=Audience(groups=("staff",))),
            OpenRing(name="1%", exposure_bp=100),
        ),
    }
    return Entry(**{**known, **fields})


def a_completed_entry(version: Version = V1) -> Entry:
    return Entry(
        version=version,
        state=RolloutState.COMPLETED,
        exposure_bp=10_000,
        rollout=RolloutId("ro_old1"),
        rings=(OpenRing(name="all", exposure_bp=10_000),),
    )


def a_document(*entries: Entry, **fields: Any) -> RolloutDocument:
    document = RolloutDocument(
        app=APP, channel=CHANNEL, issued=NOW, next_check_in_seconds=3_600, entries=entries
    )
    return replace(document, **fields)


def a_release(version: Version = V1, **fields: Any) -> Release:
    channel = fields.get("channel", CHANNEL)
    platform = fields.get("platform", PLATFORM)
    known: dict[str, Any] = {
        "app": APP,
        "channel": channel,
        "platform": platform,
        "version": version,
        "salt": SALT,
        "released_at": NOW - timedelta(days=30),
        "artifact": Artifact(
            path=f"{release_folder(APP, channel, platform, version)}/demo-{version}.srn",
            format="serinus-1",
            manifest_sha256="0" * 64,
            tree_bytes=1,
            files=1,
        ),
    }
    return Release(**{**known, **fields})


def a_target(release: Release, data: bytes) -> StoredTarget:
    return StoredTarget(
        app=APP,
        path=release.artifact.path,
        sha256=hashlib.sha256(data).hexdigest(),
        length_bytes=len(data),
        release=(release.channel, release.platform, str(release.version)),
    )


def a_rollout(**fields: Any) -> Rollout:
    known: dict[str, Any] = {
        "id": ROLLOUT,
        "app": APP,
        "channel": CHANNEL,
        "version": V2,
        "state": RolloutState.ACTIVE,
        "ladder": (Step(ring="1%", exposure_bp=100), Step(ring="all", exposure_bp=10_000)),
        "position": 0,
        "started_at": NOW,
        "position_reached_at": NOW,
        "changed_at": NOW,
    }
    return Rollout(**{**known, **fields})


def path_of_document(release: Release) -> str:
    return path_of_release(APP, CHANNEL, PLATFORM, release.version)
