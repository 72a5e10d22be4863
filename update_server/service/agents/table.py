"""What a web process knows of its apps: immutable tables, swapped by one reference.

A table is built off the request path (``service.agents.refresh``) and never changed. A process
may offer something only while its table was confirmed within the lease; later it still
answers, but offers nothing new (it fails closed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from rollout.model import Documents, Policy, Release, RolloutDocument, RolloutId
from update_server.service.agents.tokens import TokenKeys
from update_server.service.errors import NotReadyError, UnknownAppError
from update_server.service.ports import Clock
from update_server.service.ports.settings import AppSettings

_EMPTY: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The server's own keys: *pepper* makes pseudonyms, *tokens* sign install tokens."""

    pepper: bytes
    tokens: TokenKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTable:
    """The signed documents of one channel, and until when they hold.

    ``documents`` has one value a platform, with all its releases, ready for ``decide``.
    ``offers_per_minute`` names the rollouts that are taken in at a bounded rate, all others at any.
    """

    policy: Policy
    policy_expires_at: datetime
    rollout: RolloutDocument | None
    rollout_expires_at: datetime | None
    documents: Mapping[str, Documents]
    offers_per_minute: Mapping[RolloutId, int] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRelease:
    """A release, the number that stands for it in tokens, and its bytes as signed."""

    number: int
    document: bytes
    release: Release


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file of a release, as ``/targets`` serves it."""

    path: str
    sha256: str
    length_bytes: int
    channel: str | None = None
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Whose enrolment credential this is."""

    group: str
    install_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTable:
    """All that is needed to answer for one app.

    ``releases`` is by (channel, platform); ``by_number`` leads from a token back to it.
    ``files`` is by path as signed, and by path with the hash before the name.
    ``members`` is by the hash of the credential.
    """

    name: str
    number: int
    generation: int
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    timestamp_version: int = 0
    by_channel: Mapping[str, ChannelTable] = field(default_factory=lambda: _EMPTY)
    releases: Mapping[tuple[str, str], Mapping[Version, KnownRelease]] = field(
        default_factory=lambda: _EMPTY
    )
    by_number: Mapping[int, Release] = field(default_factory=lambda: _EMPTY)
    files: Mapping[str, KnownFile] = field(default_factory=lambda: _EMPTY)
    pulled: frozenset[tuple[str, Version]] = frozenset()
    members: Mapping[str, Membership] = field(default_factory=lambda: _EMPTY)
    settings: AppSettings = field(default_factory=AppSettings)


@dataclass(frozen=True, slots=True)
class Held:
    """A table, and the monotonic second *before* the read that last confirmed it.

    Both travel in one reference, so that no thread can see an old table with a new
    confirmation.
    """

    table: AppTable
    confirmed_at: float


class Tables:
    """The tables of this process. Readers take no lock: ``replace`` swaps one reference."""

    def __init__(self, clock: Clock, lease_seconds: float) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._held: Mapping[str, Held] | None = None
        self._secrets: Secrets | None = None

    @property
    def lease_seconds(self) -> float:
        """How long a confirmed table may be offered from."""
        return self._lease_seconds

    @property
    def secrets(self) -> Secrets:
        """The server's own keys, once they were read."""
        if self._secrets is None:
            raise NotReadyError
        return self._secrets

    def replace(self, held: Mapping[str, Held], secrets: Secrets) -> None:
        """Answer from *held* from now on."""
        self._secrets = secrets
        self._held = held

    @property
    def is_ready(self) -> bool:
        """Whether anything was read yet."""
        return self._held is not None

    def all(self) -> Mapping[str, Held]:
        """Return every table; none before the first ``replace``."""
        return self._held or _EMPTY

    def of(self, app: str) -> Held:
        """Return the table of *app*.

        Raises:
            NotReadyError: Nothing was read yet.
            UnknownAppError: There is no such app.
        """
        if self._held is None:
            raise NotReadyError
        held = self._held.get(app)
        if held is None:
            raise UnknownAppError(app)
        return held

    def numbered(self, number: int) -> Held | None:
        """Return the table of the app with this *number*, None where there is none.

        Raises:
            NotReadyError: Nothing was read yet.
        """
        if self._held is None:
            raise NotReadyError
        found = (held for held in self._held.values() if held.table.number == number)
        return next(found, None)

    def age_seconds(self, held: Held) -> float:
        """Return how long ago *held* was surely the newest."""
        return self._clock.monotonic() - held.confirmed_at

    def is_live(self, held: Held) -> bool:
        """Tell whether *held* was confirmed within the lease."""
        return self.age_seconds(held) < self._lease_seconds
