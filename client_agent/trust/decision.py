"""What this install should run: refreshed, verified, decided, and narrowed by the server's hint.

The plan is docs/trust.md, 6, and the code bears its numbers. Nothing else in the agent reads
metadata, or gets a path, a size or a hash from anywhere but the values that are returned here.
A check that fails means: keep running what runs, and say why. Nothing is verified "later".

Not here: the refresh itself (``client_agent.trust.metadata``), the decision (``rollout.decide``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from packaging.version import Version
from tuf.api.metadata import TargetFile

from client_agent.config import AppSettings
from client_agent.errors import AgentError, Code, NetworkError, StateError, TrustError
from client_agent.machine.values import DeltaInfo, Goal, TargetInfo
from client_agent.network.transport import Transport
from client_agent.platforms.port import Platform
from client_agent.trust.floor import Floor, FloorFile, Memory
from client_agent.trust.metadata import Metadata, refresh
from rollout.decide import decide, narrow
from rollout.documents import (
    check_against_policy,
    path_of_policy,
    path_of_release,
    path_of_rollout,
)
from rollout.errors import DocumentError
from rollout.model import (
    Action,
    Assignment,
    Documents,
    Failure,
    Install,
    Policy,
    Reason,
    Release,
    RolloutDocument,
)
from rollout.pieces import PIECES_ABOVE_BYTES, pieces_length, pieces_path
from signing.errors import TrustError as SignedError
from signing.verify import file_of, policy_of, release_of, rollout_of

MAX_SKEW = timedelta(hours=24)
"""How far a clock may be behind what was signed, and a document ahead of the clock."""

MAX_ARMED = timedelta(hours=24)
"""For how long at most an arming holds, whatever the timestamp allows."""

CACHE = "tuf"
"""Folder of python-tuf's metadata below ``trust/``."""


FailureMemory = Callable[[Policy, RolloutDocument | None], tuple[Failure, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What the server answered to a check-in. It can only hold this install back."""

    action: Action
    version: Version | None
    reason: Reason
    received_at: datetime
    good_for_seconds: float

    def is_recent(self, now: datetime) -> bool:
        """Return whether it is younger than its own period; a clock set back makes it old."""
        age = (now - self.received_at).total_seconds()
        return 0 <= age < self.good_for_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, why, and what of the signed state the server should hear.

    ``problems`` are refusals that did not stop the decision: of the rollout document, or of a
    release that then counts as not signed. ``next_check_in_seconds`` is the document's wish.
    """

    assignment: Assignment
    goal: Goal | None
    not_after: datetime
    timestamp_version: int
    snapshot_sha256: str
    next_check_in_seconds: int | None = None
    problems: tuple[AgentError, ...] = ()


@dataclass(slots=True)
class _Found:
    """Documents as they are verified, and what was refused on the way."""

    policy: Policy
    rollout: RolloutDocument | None = None
    rollout_missing: Reason = Reason.NO_RELEASE
    releases: Mapping[Version, Release] = field(default_factory=lambda: MappingProxyType({}))
    problems: list[AgentError] = field(default_factory=list)


class Trust:
    """The trust of one install. One caller at a time, who holds the install's lock."""

    def __init__(
        self,
        app: AppSettings,
        folder: Path,
        bases: tuple[str, ...],
        platform: Platform,
    ) -> None:
        """Trust from *app*'s compiled-in root; *bases* are tried in order for metadata."""
        self._app = app
        self._folder = folder
        self._bases = bases
        self._floors = FloorFile(folder, platform)
        self._stored = Floor()

    def floor(self) -> Floor:
        """Return what must never be forgotten, as it is stored."""
        return self._floors.load()[0]

    def refresh_and_decide(
        self,
        install: Install,
        hint: Hint | None,
        transport: Transport,
        now: datetime,
        memory: FailureMemory | None = None,
    ) -> Decision:
        """Return what *install* should run at *now*.

        Floor and high-water mark of *install* are replaced by the durable ones, and its failures
        by those that *memory* returns for the verified policy and rollout document.

        Raises:
            TrustError, NetworkError, DiskError: No decision can be trusted now.
        """
        floor, lost = self._load()  # 1
        self._check_clock(floor, now)  # 2
        metadata, floor = self._refresh(floor, transport, now)  # 3
        found, floor = self._read_policy(metadata, floor, now)  # 4
        if lost:
            found.problems.append(StateError(Code.LOST, "floor"))
        install = _held_to(install, floor)
        self._read_rollout(metadata, found, now)  # 5
        if found.rollout is not None:
            self._persist(floor.raised(issued=found.rollout.issued))
        found.releases = self._read_releases(metadata, found, install, now)
        if memory is not None:
            install = replace(install, failures=memory(found.policy, found.rollout))
        documents = Documents(
            policy=found.policy,
            rollout=found.rollout,
            rollout_missing=found.rollout_missing,
            releases=found.releases,
        )
        local = decide(documents, install, now)
        assignment = _narrowed(local, hint, now)
        goal = self._goal(metadata, assignment, found)
        return Decision(
            assignment=assignment,
            goal=goal,
            not_after=min(metadata.timestamp.expires, now + MAX_ARMED),
            timestamp_version=metadata.timestamp.version,
            snapshot_sha256=metadata.snapshot_sha256(),
            next_check_in_seconds=found.rollout.next_check_in_seconds if found.rollout else None,
            problems=tuple(found.problems),
        )

    def raise_high_water(self, release: Release, running: Version | None) -> None:
        """Remember, before *release* is armed, how high this install has been.

        *running* counts as well: what an installer brought was never armed.

        Raises:
            DiskError: It could not be stored; then nothing may be armed.
        """
        floor, _ = self._load()
        floor = floor.raised(high_water=running)
        self._persist(floor.raised(high_water=release.version, issued=release.released_at))

    def _check_clock(self, floor: Floor, now: datetime) -> None:
        known = [at for at in (floor.issued, self._app.built_at) if at is not None]
        if known and now < max(known) - MAX_SKEW:
            raise TrustError(Code.CLOCK, "this machine's clock is behind what was signed")

    def _refresh(self, floor: Floor, transport: Transport, now: datetime) -> tuple[Metadata, Floor]:
        """Refresh from the first base that gives something verifiable."""
        # A build that moves to a new root also moves to a new place (docs/trust.md, 9). The
        # numbers of the old place mean nothing there; floor and high-water mark still do.
        server = hashlib.sha256(self._app.base.encode()).hexdigest()[:32]
        if floor.server != server:
            nothing = Memory()
            floor = replace(
                floor,
                server=server,
                root_version=0,
                timestamp=nothing,
                targets=nothing,
                policy=nothing,
            )
        first: AgentError | None = None
        for base in self._bases:
            try:
                folder, root = self._folder / CACHE, self._app.root_metadata
                folder.mkdir(mode=0o700, exist_ok=True)
                return refresh(folder, f"{base}/tuf/", root, transport, floor, now)
            except (NetworkError, TrustError) as error:
                first = first or error
        raise first or TrustError(Code.BAD_DOCUMENT, "nowhere to refresh from")

    def _read_policy(self, metadata: Metadata, floor: Floor, now: datetime) -> tuple[_Found, Floor]:
        path = path_of_policy(self._app.app, self._app.channel)
        target = metadata.find(path)
        role = None if target is None else metadata.role_of(target)
        if target is None or role is None:
            raise TrustError(Code.BAD_DOCUMENT, f"no policy at {path}")
        if floor.policy.forbids(role.version, role.keys):
            detail = f"{role.version}, seen {floor.policy.version}"
            raise TrustError(Code.POLICY_ROLLBACK, detail)
        try:
            policy = policy_of(target, self._app.app, self._app.channel)
        except SignedError as error:
            raise _own(error) from error
        _check_issued(policy.issued, now, path)
        seen = replace(floor, policy=floor.policy.seen(role.version, role.keys))
        raised = seen.raised(sticky_floor=policy.floor, issued=policy.issued)
        return _Found(policy=policy), self._persist(raised)

    def _read_rollout(self, metadata: Metadata, found: _Found, now: datetime) -> None:
        """Read the rollout document. Whatever is wrong with it disables only rule 5."""
        path = path_of_rollout(self._app.app, self._app.channel)
        try:
            target = metadata.find(path)
            if target is None:
                return
            rollout = rollout_of(target, self._app.app, self._app.channel)
            check_against_policy(rollout, found.policy)
            _check_issued(rollout.issued, now, path)
            found.rollout = rollout
        except (TrustError, NetworkError) as error:
            found.rollout_missing = Reason.STALE_SERVER
            found.problems.append(error)
        except SignedError as error:
            found.rollout_missing = Reason.STALE_SERVER
            found.problems.append(_own(error))
        except DocumentError as error:
            found.rollout_missing = Reason.STALE_SERVER
            found.problems.append(TrustError(Code.BAD_DOCUMENT, f"{path}: {error}"))

    def _read_releases(
        self, metadata: Metadata, found: _Found, install: Install, now: datetime
    ) -> Mapping[Version, Release]:
        """Return the release documents that matter. One that is wrong is not signed.

        Raises:
            TrustError, NetworkError: Their role cannot be had or does not verify.
        """
        named = {rule.version for rule in found.policy.must_reach}
        if found.rollout is not None:
            named.update(entry.version for entry in found.rollout.entries)
        if install.high_water is not None:
            named.add(install.high_water)
        releases: dict[Version, Release] = {}
        for version in sorted(named):
            app, channel, platform = self._app.app, self._app.channel, self._app.platform
            target = metadata.find(path_of_release(app, channel, platform, version))
            if target is None:
                continue
            try:
                release = release_of(target, app, channel, platform, version)
                # Its date is remembered once it is armed, as a policy's is.
                _check_issued(release.released_at, now, target.path)
                releases[version] = release
            except SignedError as error:
                found.problems.append(_own(error))
            except TrustError as error:
                found.problems.append(error)
        return MappingProxyType(releases)

    def _goal(self, metadata: Metadata, assignment: Assignment, found: _Found) -> Goal | None:
        if assignment.action is Action.STAY or assignment.version is None:
            return None
        release = found.releases[assignment.version]
        return Goal(
            version=release.version,
            manifest_sha256=release.artifact.manifest_sha256,
            rollout=assignment.rollout,
            reason=assignment.reason,
            action=assignment.action,
            release=release,
            target=self._file(metadata, release, release.artifact.path),
            deltas=self._deltas(metadata, release, found.problems),
        )

    def _deltas(
        self, metadata: Metadata, release: Release, problems: list[AgentError]
    ) -> tuple[DeltaInfo, ...]:
        """Return the deltas to *release*. One that is not signed as it must be is none."""
        deltas: list[DeltaInfo] = []
        for delta in release.deltas:
            try:
                target = self._file(metadata, release, delta.path)
            except TrustError as error:
                problems.append(error)
                continue
            deltas.append(DeltaInfo(signed=delta, target=target))
        return tuple(deltas)

    def _file(self, metadata: Metadata, release: Release, path: str) -> TargetInfo:
        """Return what the bytes of the release's file at *path* must be.

        Raises:
            TrustError: Another role than the release's vouches for it, or none.
        """
        app, channel, platform = self._app.app, self._app.channel, self._app.platform
        target = metadata.find(path)
        document = metadata.find(path_of_release(app, channel, platform, release.version))
        if target is None or document is None or not _same_role(metadata, target, document):
            raise TrustError(Code.BAD_DOCUMENT, f"{path} is not signed by its release's role")
        file = _file_of(target)
        if file.length_bytes <= PIECES_ABOVE_BYTES:
            return file
        pieces = metadata.find(pieces_path(path))
        if pieces is None or not _same_role(metadata, pieces, document):
            return file  # they help, and nothing depends on them
        found = _file_of(pieces)
        fits = found.length_bytes == pieces_length(file.length_bytes)
        return replace(file, pieces=found) if fits else file

    def _load(self) -> tuple[Floor, bool]:
        self._stored, lost = self._floors.load()
        return self._stored, lost

    def _persist(self, floor: Floor) -> Floor:
        """Store *floor* unless it is stored; what relies on it may be done only after that."""
        if floor != self._stored:
            self._stored = self._floors.save(floor)
        return self._stored


def _file_of(target: TargetFile) -> TargetInfo:
    try:
        file = file_of(target)
    except SignedError as error:
        raise _own(error) from error
    return TargetInfo(path=file.path, sha256=file.sha256, length_bytes=file.length_bytes)


def _same_role(metadata: Metadata, one: TargetFile, other: TargetFile) -> bool:
    role = metadata.role_of(one)
    return role is not None and role == metadata.role_of(other)


def _held_to(install: Install, floor: Floor) -> Install:
    """Return *install* with what is remembered of it. What runs now counts as armed."""
    held = floor.raised(high_water=install.version)
    return replace(install, sticky_floor=floor.sticky_floor, high_water=held.high_water)


def _narrowed(local: Assignment, hint: Hint | None, now: datetime) -> Assignment:
    if hint is None:
        return local
    recent = hint.is_recent(now)
    return narrow(local, hint.action, hint.version, hint.reason, answered_recently=recent)


def _check_issued(issued: datetime, now: datetime, path: str) -> None:
    """Refuse a document from the future: remembered, it would lock this install up."""
    if issued > now + MAX_SKEW:
        raise TrustError(Code.CLOCK, f"{path} was issued in the future")


def _own(error: SignedError) -> TrustError:
    return TrustError(Code(error.code), f"{error.subject}: {error.detail}")
