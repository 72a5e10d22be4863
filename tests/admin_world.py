"""A server with a publisher, in memory: real signatures, the real signer, fake stores.

``World.registered()`` has an app with one policy; ``publish`` brings a release with real
bytes; ``fork`` copies everything, so that a test can kill one copy and look at the other.
"""

from __future__ import annotations

import copy
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import Version
from securesystemslib.signer import CryptoSigner, Key

from rollout.documents import render_policy, render_release
from rollout.model import Release, Rollout, RolloutState, Step
from signing.ceremony import first_repository, sign_policy, sign_releases
from signing.drafts import Draft
from signing.roles import Layout
from signing.state import RepositoryState
from tests.builders import a_policy, a_release
from tests.fakes import FakeBlobs, FakeClock, FakeDatabase, FakeDumpFiles, FakeIds, FakeSpoolReader
from tests.fakes.passwords import QUICK_PASSWORDS
from update_server.config_dashboard import Dashboard
from update_server.service.access.caller import Caller
from update_server.service.agents.refresh import ensure_secrets
from update_server.service.ports import Blobs, Database, Role, Signer
from update_server.service.repository.publish import Submitted
from update_server.service.rollouts.recount import Recounter
from update_server.signer.online import OnlineSigner
from update_server.web.admin.services import AdminServices, admin_services
from update_server.web.public.proxies import Proxies

APP = "demo"
STABLE = "stable"
PLATFORMS = ("linux-x86_64", "windows-x86_64")
PUBLISHER = CryptoSigner.generate_ed25519()
ROOT_KEY = CryptoSigner.generate_ed25519()
LEASE_SECONDS = 2

QUICK_LADDER = (
    Step(ring="internal", soak_seconds=60),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=60),
    Step(ring="all", exposure_bp=10_000),
)


@dataclass(slots=True, kw_only=True)
class World:
    """A server's ports and its use-cases."""

    folder: Path
    database: FakeDatabase = field(default_factory=FakeDatabase)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: FakeIds = field(default_factory=FakeIds)
    spools: FakeSpoolReader = field(default_factory=FakeSpoolReader)
    dumps: FakeDumpFiles = field(default_factory=FakeDumpFiles)
    secrets: dict[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = PLATFORMS
    dashboard: Dashboard = field(default_factory=Dashboard)

    @property
    def signer(self) -> Signer:
        """The signer itself, with its memory on disk."""
        return OnlineSigner(self.folder, self.database, self.clock, QUICK_PASSWORDS)

    def services(
        self,
        *,
        database: Database | None = None,
        blobs: Blobs | None = None,
        signer: Signer | None = None,
        wait: Callable[[float], None] | None = None,
    ) -> AdminServices:
        """Return the use-cases of a process that has just started."""
        return admin_services(
            database=database or self.database,
            blobs=blobs or self.blobs,
            signer=signer or self.signer,
            spools=self.spools,
            dumps=self.dumps,
            passwords=QUICK_PASSWORDS,
            clock=self.clock,
            ids=self.ids,
            wait=wait or self.clock.sleep,
            lease_seconds=LEASE_SECONDS,
            next_check_in_seconds=14_400,
            proxies=Proxies(("127.0.0.1",)),
            dashboard=self.dashboard,
        )

    def fork(self, folder: Path) -> World:
        """Return a copy that shares nothing with this one."""
        shutil.copytree(self.folder, folder)
        database = FakeDatabase()
        database._state = self.database._state.copy(writable=False)
        blobs = FakeBlobs()
        blobs.blobs = dict(self.blobs.blobs)
        return World(
            folder=folder,
            database=database,
            blobs=blobs,
            clock=FakeClock(self.clock.now()),
            ids=copy.deepcopy(self.ids),
            secrets=dict(self.secrets),
            platforms=self.platforms,
            dashboard=self.dashboard,
        )

    # --- who asks ----------------------------------------------------------------------

    def caller(self, role: Role = Role.OPERATOR, app: str | None = APP) -> Caller:
        """Return somebody with a real token of this role; the same one each time."""
        return self.person(f"{role}-{app}", role, app)

    def person(
        self,
        name: str,
        role: Role = Role.OPERATOR,
        app: str | None = APP,
        *,
        expires_in_seconds: int | None = None,
    ) -> Caller:
        """Return somebody of this name with a real token; the same one each time."""
        if name not in self.secrets:
            root = Caller(name="test", token_id="")
            tokens = self.services().tokens
            token, secret = tokens.issue(root, name, role, app, expires_in_seconds)
            self.secrets[name] = secret
        token = self.services().tokens.authenticate(self.secrets[name])
        return Caller(name=name, token_id=token.id, app=app, secret=self.secrets[name])

    # --- what a publisher does ---------------------------------------------------------

    def register(
        self,
        *,
        channels: Sequence[str] = (STABLE,),
        **policy: Any,
    ) -> None:
        """Take the app in, and submit its root, targets and policies."""
        services = self.services()
        known, _ = services.apps.add(self.caller(Role.ADMIN, None), APP, channels, self.platforms)
        online = {
            name: Key.from_dict(key["keyid"], {k: v for k, v in key.items() if k != "keyid"})
            for name, key in known.online_keys.items()
        }
        signers = {role: [PUBLISHER] for role in ("targets", "policy", "releases")}
        fields: dict[str, Any] = {"ramp": QUICK_LADDER} | policy
        issued = self.clock.now()
        metadata = first_repository(
            Layout(app=APP, channels=tuple(channels), platforms=self.platforms),
            signers | {"root": [ROOT_KEY]},
            online,
            {c: render_policy(a_policy(channel=c, issued=issued, **fields)) for c in channels},
            self.clock.now(),
        )
        self.submit(metadata)

    def submit(
        self, metadata: Mapping[str, bytes], services: AdminServices | None = None
    ) -> Submitted:
        """Submit signed metadata built upon what is there."""
        services = services or self.services()
        publisher = self.caller(Role.PUBLISHER)
        return services.publisher.submit(publisher, APP, metadata, {})

    def upload(self, data: bytes) -> str:
        """Upload bytes; return their digest."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.blobs.upload_done(APP, sha256):
            publisher, stream = self.caller(Role.PUBLISHER), io.BytesIO(data)
            self.services().uploads.append(publisher, APP, sha256, 0, len(data), stream)
        return sha256

    def state(self) -> RepositoryState:
        """Return what a publisher builds upon."""
        view = self.services().publisher.view(APP)
        return RepositoryState(app=APP, metadata=view.metadata)

    def signed_release(
        self,
        version: str,
        *,
        channel: str = STABLE,
        platforms: Iterable[str] | None = None,
        rollback_to: Iterable[str] = (),
        **more: Any,
    ) -> dict[str, bytes]:
        """Upload a release's files and return its signed metadata."""
        drafts = []
        for platform in platforms or self.platforms:
            release = a_release(
                version=version,
                channel=channel,
                platform=platform,
                rollback_to=rollback_to,
                released_at=self.clock.now(),
                salt=hashlib.sha256(f"{platform}{version}".encode()).digest(),
                **more,
            )
            data = payload_of(release)
            files = {release.artifact.path: (self.upload(data), len(data))}
            drafts.append(Draft(document=render_release(release), files=files))
        return sign_releases(self.state(), drafts, [PUBLISHER], self.clock.now())

    def publish(self, version: str, **more: Any) -> Submitted:
        """Publish a release, for every platform."""
        return self.submit(self.signed_release(version, **more))

    def change_policy(self, channel: str = STABLE, **policy: Any) -> Submitted:
        """Publish another policy."""
        fields: dict[str, Any] = {"ramp": QUICK_LADDER, "issued": self.clock.now()} | policy
        document = render_policy(a_policy(channel=channel, **fields))
        return self.submit(
            sign_policy(self.state(), {channel: document}, [PUBLISHER], self.clock.now())
        )

    # --- what operators do -------------------------------------------------------------

    def start(self, version: str, channel: str = STABLE, **more: Any) -> Rollout:
        """Start a rollout."""
        control = self.services().control
        return control.start(self.caller(), APP, channel, Version(version), **more)

    def complete(self, version: str, channel: str = STABLE) -> Rollout:
        """Walk a version through all rings."""
        rollout = self.start(version, channel)
        while rollout.state is RolloutState.ACTIVE:
            self.advance(60)
            rollout = self.services().control.promote(self.caller(), APP, rollout.id)
        return rollout

    def rollout(self, rollout: Rollout) -> Rollout:
        """Return the newest state of a rollout."""
        with self.database.reading() as stores:
            return stores.rollouts.get(APP, rollout.id)

    def advance(self, seconds: float) -> datetime:
        """Let time pass."""
        return self.clock.advance(timedelta(seconds=seconds))

    def recount(self) -> None:
        """Count what only a look at every install tells, as a controller does."""
        Recounter(self.database, self.clock, next_check_in_seconds=14_400).step()


def payload_of(release: Release) -> bytes:
    """Return bytes that stand for a release's artifact."""
    return f"payload of {release.artifact.path}".encode() * 20


def a_world(folder: Path, platforms: tuple[str, ...] = PLATFORMS) -> World:
    """Return an empty server."""
    world = World(folder=folder, platforms=platforms)
    ensure_secrets(world.database, lambda: b"s" * 32)
    return world


def a_registered_world(
    folder: Path, platforms: tuple[str, ...] = PLATFORMS, **policy: Any
) -> World:
    """Return a server with a registered app."""
    world = a_world(folder, platforms)
    world.register(**policy)
    return world


def a_released_world(folder: Path, platforms: tuple[str, ...] = PLATFORMS, **policy: Any) -> World:
    """Return a server whose app has 2.0.0, completed, and 2.1.0, which may go back to it."""
    world = a_registered_world(folder, platforms, **policy)
    world.publish("2.0.0")
    world.complete("2.0.0")
    world.publish("2.1.0", rollback_to=["2.0.0"])
    return world
