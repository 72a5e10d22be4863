"""What the use-cases need from the world, as Protocols that the adapters satisfy.

Stores take and return values and never commit: ``Database.transaction`` does, when its
block ends without an error. Getters never write. Errors that a port may raise stand here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from packaging.version import Version

from rollout.model import Arm, Hold, Rollout, RolloutId
from update_server.service.arrival_ports import ArrivalStore
from update_server.service.counter_ports import Counters
from update_server.service.crash_ports import Crashes, Sessions
from update_server.service.outbox_ports import Alerts, Outbox
from update_server.service.pending_ports import PendingVerbs
from update_server.service.pull_ports import PullCounts
from update_server.service.quarantine_ports import QuarantineStore
from update_server.service.settings_ports import SettingsStore
from update_server.service.signature_ports import Signatures
from update_server.service.study_ports import Decisions, Histories, Registers, Studies
from update_server.service.waiver_ports import WaiverStore

# --- errors ------------------------------------------------------------------------------


class PortError(Exception):
    """Base of what a port may raise. Never raised itself."""


class NotFoundError(PortError):
    """There is no such thing. ``kind`` is a noun of the vocabulary, ``key`` what was asked."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"no {kind} {key!r}")
        self.kind = kind
        self.key = key


class ExistsError(PortError):
    """It exists already, and differs."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key!r} exists already")
        self.kind = kind
        self.key = key


class ChangedError(PortError):
    """Somebody else changed it since it was read; nothing was written."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key!r} was changed by somebody else")
        self.kind = kind
        self.key = key


class LeaseLostError(PortError):
    """The lease on an app's repository is held by another process."""

    def __init__(self, app: str, holder: str) -> None:
        super().__init__(f"the repository of {app!r} is being written by {holder!r}")
        self.app = app
        self.holder = holder


class ReadOnlyError(PortError):
    """A write inside ``Database.reading``: a mistake of ours."""


class UnavailableError(PortError):
    """The thing behind the port does not answer, or has no room."""


class BusyError(UnavailableError):
    """Somebody else is at it and will soon have done. Nothing was written."""


class SignerRefusedError(PortError):
    """The signer will not sign. ``code`` is stable, snake_case; ``data`` goes to the caller."""

    def __init__(self, code: str, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.data = dict(data or {})


class OffsetMismatchError(PortError):
    """An upload must go on at ``expected_bytes``."""

    def __init__(self, expected_bytes: int) -> None:
        super().__init__(f"the upload goes on at byte {expected_bytes}")
        self.expected_bytes = expected_bytes


class DigestMismatchError(PortError):
    """The bytes do not have the digest that they were announced with. They are gone."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected sha256 {expected}, found {found}")
        self.expected = expected
        self.found = found


# --- values ------------------------------------------------------------------------------


class Role(StrEnum):
    """What a token may do. Each role may do what the ones before it may."""

    VIEWER = "viewer"
    PUBLISHER = "publisher"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A registered app. ``number`` is small, unique and never reused.

    ``generation`` grows by one with every change that check-ins must see.
    ``registered`` is true once its root, targets and policies were admitted.
    """

    name: str
    number: int
    created_at: datetime
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    registered: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTarget:
    """A file that signed metadata names. ``public`` once a general ring offers it.

    ``release`` is (channel, platform, version) for a release's files, else None.
    """

    app: str
    path: str
    sha256: str
    length_bytes: int
    release: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """A release of one platform, with the rendered document that the publisher signed."""

    app: str
    channel: str
    platform: str
    version: Version
    number: int
    document: bytes
    admitted_at: datetime
    submitted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The newest signed policy or rollout document of a channel. ``kind`` names which."""

    app: str
    channel: str
    kind: str  # "policy" or "rollout"
    version: int
    expires_at: datetime
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One signed state of an app's repository, with its bytes, before and after it is written.

    ``body`` is ``signing.repository``'s serialised journal, opaque to stores.
    """

    id: int
    app: str
    timestamp_version: int
    body: bytes
    created_at: datetime
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token of the admin app, known by its hash. ``app`` None: all apps."""

    id: str
    sha256: str
    name: str
    role: Role
    app: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def person(self) -> str:
        """Who is behind it: tokens of one name are one person's.

        Spellings that look alike are one name: nobody is two by a space or a capital.
        """
        return " ".join(unicodedata.normalize("NFKC", self.name).casefold().split())

    def is_live(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_approve(self, app: str, now: datetime) -> bool:
        """Whether it approves changes of *app* now."""
        is_operator = self.role in {Role.OPERATOR, Role.ADMIN}
        return is_operator and self.app in {None, app} and self.is_live(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named set of enrolled installs."""

    app: str
    name: str
    created_at: datetime
    members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """A code that installs trade for a credential. Known by its hash."""

    id: str
    app: str
    group: str
    sha256: str
    created_at: datetime
    expires_at: datetime
    uses_left: int
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A live membership: one install in one group, by the hash of its credential."""

    app: str
    group: str
    install_key: bytes
    sha256: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHold:
    """A hold of one channel. Lifted holds stay on record."""

    app: str
    channel: str
    hold: Hold
    created_at: datetime
    created_by: str
    reason: str
    rollout: RolloutId | None = None  # None: every rollout of the channel
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what, why, and what it changed. ``hash`` chains to the record before.

    ``before`` and ``after`` are small JSON objects. Rows are never changed or removed.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    app: str | None
    subject: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    previous_hash: str
    hash: str


class Phase(StrEnum):
    """Steps of an update, as agents report them; the order is that of the funnel."""

    OFFERED = "offered"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    STAGED = "staged"
    APPLIED = "applied"
    LAUNCHED = "launched"
    HEALTHY = "healthy"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One check-in, as evidence remembers it. Keys are pseudonyms of the install.

    ``rollout``, ``ring`` and ``arm`` are of the newest live rollout that concerns the
    install; None when there is none or the install is under a hold, which ``held`` says.
    ``bucket`` is the install's in that rollout. ``network`` is a keyed hash of the network that
    it came from, empty where the address says nothing.
    """

    app: str
    install_key: bytes
    at: datetime
    channel: str
    platform: str
    version: str
    action: str
    reason: str
    offered: str | None = None
    rollout: RolloutId | None = None
    ring: str | None = None
    arm: Arm | None = None
    self_selected: bool = False
    telemetry: str = "crash"
    timestamp_version: int = 0
    snapshot_sha256: str = ""
    network: bytes = b""
    bucket: int | None = None
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One accepted event. ``body`` keeps the allow-listed fields of its kind.

    ``install_key`` is the whole key; or its first 8 bytes, where only a token names the install;
    or empty, where nothing does. ``quarantine`` says why the event is set aside, if it is.
    """

    app: str
    install_key: bytes
    id: str
    at: datetime
    received_at: datetime
    kind: str
    version: str
    source: str = "agent"
    phase: Phase | None = None
    channel: str | None = None
    platform: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    quarantine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInstall:
    """An install by its whole key, with what it told of itself when it last checked in."""

    install_key: bytes
    channel: str
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelCell:
    """How many distinct installs of one ring and arm reached a step."""

    ring: str
    arm: Arm
    step: str  # a Phase, or "contacts" or "silent"
    installs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a spool file has been digested."""

    spool: str
    offset_bytes: int


# --- state -------------------------------------------------------------------------------


class Apps(Protocol):
    """Registered apps, their generation, and the lease on their repository."""

    def add(self, app: App) -> App: ...  # number is assigned by the store; ExistsError
    def get(self, name: str) -> App: ...
    def all(self) -> Sequence[App]: ...
    def update(self, app: App) -> None: ...  # channels, platforms, registered
    def generations(self) -> Mapping[str, int]: ...
    def bump(self, name: str) -> int: ...  # returns the new generation
    def take_lease(self, name: str, holder: str, now: datetime, seconds: int) -> int: ...
    def check_lease(self, name: str, fence: int) -> None: ...  # LeaseLostError
    def drop_lease(self, name: str, fence: int) -> None: ...


class Releases(Protocol):
    """Admitted releases and the files that they name."""

    def add(self, release: StoredRelease) -> StoredRelease: ...  # number assigned; ExistsError
    def get(self, app: str, channel: str, version: Version) -> Sequence[StoredRelease]: ...
    def all(self, app: str) -> Sequence[StoredRelease]: ...
    def versions(self, app: str) -> Sequence[tuple[str, Version]]: ...  # by channel, each once
    def add_targets(self, targets: Iterable[StoredTarget]) -> None: ...  # identical: no-op
    def target(self, app: str, path: str) -> StoredTarget: ...
    def targets(self, app: str) -> Sequence[StoredTarget]: ...
    def put_document(self, document: StoredDocument) -> None: ...  # never back in version
    def documents(self, app: str) -> Sequence[StoredDocument]: ...


class Rollouts(Protocol):
    """What the server wants: each rollout's state."""

    def add(self, rollout: Rollout) -> None: ...
    def get(self, app: str, rollout_id: RolloutId) -> Rollout: ...
    def of_app(self, app: str) -> Sequence[Rollout]: ...  # newest first
    def live(self) -> Sequence[Rollout]: ...  # active or paused, all apps
    def replace(self, old: Rollout, new: Rollout) -> None: ...  # ChangedError
    def add_hold(self, hold: StoredHold) -> None: ...
    def lift_hold(self, app: str, hold_id: str, at: datetime) -> StoredHold: ...
    def restore_hold(self, app: str, hold_id: str) -> None: ...  # undo a lift that was not signed
    def holds(self, app: str, *, lifted: bool = False) -> Sequence[StoredHold]: ...


class Journal(Protocol):
    """Signed states of repositories, in order."""

    def add(self, app: str, timestamp_version: int, body: bytes, now: datetime) -> JournalRow: ...
    def unpublished(self) -> Sequence[JournalRow]: ...  # oldest first
    def mark_published(self, row_id: int, now: datetime) -> None: ...
    def newest(self, app: str) -> JournalRow: ...  # NotFoundError
    def page(self, app: str, *, after_id: int, limit: int) -> Sequence[JournalRow]: ...  # in order


class Access(Protocol):
    """Tokens, groups, enrolments and server secrets."""

    def add_token(self, token: ApiToken) -> None: ...
    def token_by_hash(self, sha256: str) -> ApiToken: ...
    def tokens(self) -> Sequence[ApiToken]: ...
    def revoke_token(self, token_id: str, at: datetime) -> None: ...
    def add_group(self, group: Group) -> None: ...
    def groups(self, app: str) -> Sequence[Group]: ...
    def remove_group(self, app: str, name: str, at: datetime) -> None: ...  # revokes enrolments
    def add_code(self, code: EnrolmentCode) -> None: ...
    def codes(self, app: str) -> Sequence[EnrolmentCode]: ...
    def use_code(self, app: str, sha256: str, now: datetime) -> EnrolmentCode: ...  # one use less
    def revoke_code(self, app: str, code_id: str, at: datetime) -> None: ...
    def add_enrolment(self, enrolment: Enrolment) -> None: ...
    def enrolments(self, app: str) -> Sequence[Enrolment]: ...  # live ones
    def secret(self, name: str) -> bytes: ...  # NotFoundError
    def add_secret(self, name: str, value: bytes) -> bytes: ...  # first writer wins; returns it
    def idempotent(self, key: str) -> bytes | None: ...
    def remember_idempotent(self, key: str, answer: bytes, now: datetime) -> None: ...


class Audit(Protocol):
    """The append-only, hash-chained record of every write."""

    def append(
        self,
        *,
        at: datetime,
        actor: str,
        action: str,
        app: str | None,
        subject: str,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRecord: ...
    def page(
        self, *, app: str | None, before_seq: int | None, limit: int
    ) -> Sequence[AuditRecord]: ...
    def verify(self) -> int: ...  # number of records; raises ChangedError at the broken one


class Telemetry(Protocol):
    """Counts of installs, fed by the digest alone. Everything is counted once.

    ``absorb`` takes contacts and events in order, drops event ids already seen, keeps one
    progress row per (rollout, install) with the steps reached, and the last contact of every
    install. Ring and arm of an install in a rollout are those of its first contact; but a
    control install that a wider ring takes in counts there from then on. An update event is
    about the newest rollout of its version, and counts also when no contact was seen: then
    as a candidate of ring ``""``.
    """

    # returns the events that are new
    def absorb(self, contacts: Sequence[Contact], events: Sequence[Event]) -> Sequence[Event]: ...
    def checkpoint(self, spool: str) -> int: ...  # 0 when unknown
    def put_checkpoint(self, checkpoint: Checkpoint) -> None: ...
    def forget_checkpoint(self, spool: str) -> None: ...
    def funnel(self, rollout: Rollout, *, silent_before: datetime) -> Sequence[FunnelCell]: ...
    def pull_counts(self, pulled: Rollout) -> PullCounts: ...
    # versions are told by channel, platform, version and number of installs
    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]: ...
    def event_ids(self, app: str, install_key: bytes) -> Sequence[str]: ...  # sorted
    def seen_ids(self, names: Iterable[tuple[str, bytes, str]]) -> set[tuple[str, bytes, str]]: ...
    # installs that were seen, by the key, or by the beginning of one, that was asked for
    def find(self, app: str, keys: Collection[bytes]) -> Mapping[bytes, SeenInstall]: ...
    def forget_install(self, app: str, install_key: bytes) -> None: ...
    def expire(self, *, contacts_before: datetime, events_before: datetime) -> None: ...


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
    def outbox(self) -> Outbox: ...
    @property
    def alerts(self) -> Alerts: ...


class Database(Protocol):
    """Transactions over the stores."""

    def transaction(self) -> AbstractContextManager[Stores]: ...
    def reading(self) -> AbstractContextManager[Stores]: ...  # a snapshot; writing is an error


# --- bytes -------------------------------------------------------------------------------


class Blobs(Protocol):
    """Bytes by key: published files, and uploads on their way. Keys use ``/``.

    ``create`` of identical bytes is done already; of different bytes raises ExistsError.
    ``swap`` replaces ``key`` only while its content still is ``expected`` (None: absent),
    else raises ChangedError. Both are durable when they return.
    """

    def create(self, key: str, data: bytes) -> None: ...
    def swap(self, key: str, data: bytes, expected: bytes | None) -> None: ...
    def read(self, key: str) -> bytes: ...  # NotFoundError
    def open(self, key: str) -> BinaryIO: ...  # NotFoundError; seekable
    def size(self, key: str) -> int: ...  # NotFoundError
    def list(self, prefix: str) -> Sequence[str]: ...
    def delete(self, key: str) -> None: ...
    def copy(self, source: str, target: str) -> None: ...  # create-only; a link where possible
    def upload_offset(self, app: str, sha256: str) -> int: ...  # bytes here; all, when done
    def upload_done(self, app: str, sha256: str) -> bool: ...
    def append(
        self, app: str, sha256: str, offset_bytes: int, total_bytes: int, stream: BinaryIO
    ) -> int: ...

    # append: returns the new offset; OffsetMismatchError, DigestMismatchError, BusyError,
    # UnavailableError
    # a finished upload is readable as key "blobs/<app>/<sha256>"
    def sweep(self, now: datetime, older_than: timedelta) -> int: ...  # abandoned uploads


class Spool(Protocol):
    """A durable queue of contacts and events, one per web process.

    ``dropped_contacts`` counts those that found no room, ``dropped_notes`` likewise.
    """

    @property
    def dropped_contacts(self) -> int: ...
    @property
    def dropped_notes(self) -> int: ...
    def contact(self, contact: Contact) -> None: ...  # buffered: written, not waited for
    def note(self, event: Event) -> None: ...  # buffered like a contact
    def events(self, events: Sequence[Event]) -> None: ...  # durable on return; UnavailableError


class SpoolReader(Protocol):
    """The digest's side of all spools."""

    def spools(self) -> Sequence[str]: ...
    def read(
        self, spool: str, offset_bytes: int, limit: int
    ) -> tuple[Sequence[Contact | Event], int]: ...
    def size_bytes(self, spool: str) -> int: ...  # where its last record ends; 0: it is gone
    def retire(self, spool: str) -> bool: ...  # true when its process is dead and it was removed


# --- the signer --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedState:
    """What the signer answers: the journal to publish, and the metadata after it.

    ``metadata`` maps role names to the newest signed bytes.
    """

    app: str
    timestamp_version: int
    journal: bytes
    metadata: Mapping[str, bytes]


class Signer(Protocol):
    """The process that holds online keys. It raises SignerRefusedError, UnavailableError.

    ``approvals`` are the bearer tokens of the operators who ask for a change, and tickets for
    tokens that it was shown before: the signer checks them against the stored hashes, and its
    own key, by itself and takes no web process's word. A
    de-escalation needs none, so recovery after a crash can always finish a pause or a pull;
    but what nobody is seen to ask for counts as automatic. ``based_on`` is the
    ``timestamp_version`` of the state that the caller composed the document from: when a
    newer one was signed since, the document is refused as ``stale_base``.
    ``files`` maps target paths to (sha256, length in bytes).
    """

    # the online public keys by role: made where they are missing, or refused as no_key
    def new_app(self, app: str) -> Mapping[str, Mapping[str, Any]]: ...
    def online_keys(self, app: str) -> Mapping[str, Mapping[str, Any]]: ...
    def admit(
        self, app: str, submitted: Mapping[str, bytes], files: Mapping[str, tuple[str, int]]
    ) -> SignedState: ...
    def sign_rollout(
        self,
        app: str,
        channel: str,
        document: bytes,
        approvals: Sequence[str],
        *,
        based_on: int,
        automatic: bool,
    ) -> SignedState: ...
    # what stands for the token in the approvals of this one change, for an hour
    def ticket(
        self,
        app: str,
        channel: str,
        document: bytes,
        rollout: RolloutId,
        approval: str,
        *,
        based_on: int,
    ) -> str: ...
    def withdraw(self, app: str, ticket: str) -> None: ...  # one that is none is withdrawn
    def refresh(self, app: str) -> SignedState: ...
    def status(self, app: str) -> SignedState: ...


# --- the rest ----------------------------------------------------------------------------


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime: ...  # UTC-aware
    def monotonic(self) -> float: ...  # seconds


class Ids(Protocol):
    """Random names."""

    def rollout_id(self) -> RolloutId: ...
    def short_id(self, prefix: str) -> str: ...
    def secret(self, prefix: str) -> str: ...  # 160 bits or more
