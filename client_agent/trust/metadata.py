"""Refresh the signed metadata with python-tuf, and close the gaps that it leaves to its users.

The numbers are docs/trust.md, 6's. Trust starts from the root that is compiled in, at every
refresh: what lies in the cache folder can spare a download and nothing else. The clock is the
caller's. Memory that must survive a power cut is the floor's, not the cache's.

Not here: what the documents say (``client_agent.trust.decision``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import BadVersionNumberError, DownloadError, RepositoryError
from tuf.api.metadata import Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from client_agent.errors import AgentError, Code, DiskError, NetworkError, TrustError
from client_agent.network.transport import Transport
from client_agent.trust.fetcher import (
    ROOT_BYTES,
    SNAPSHOT_BYTES,
    TARGETS_BYTES,
    TIMESTAMP_BYTES,
    Fetcher,
    own_error,
)
from client_agent.trust.floor import Floor, Memory
from signing.verify import trust_error

CONFIG = UpdaterConfig(
    root_max_length=ROOT_BYTES,
    timestamp_max_length=TIMESTAMP_BYTES,
    snapshot_max_length=SNAPSHOT_BYTES,
    targets_max_length=TARGETS_BYTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A delegated role that was read: its version, and a digest of the keys that may sign it."""

    name: str
    version: int
    keys: str


class Metadata:
    """One refreshed, verified state of a repository. Files are looked up in it by path."""

    def __init__(self, updater: Updater, fetcher: Fetcher, folder: Path) -> None:
        self._updater = updater
        self._fetcher = fetcher
        self._folder = folder

    @property
    def timestamp(self) -> Timestamp:
        return self._updater._trusted_set.timestamp  # noqa: SLF001 - it has no public way

    @property
    def updater(self) -> Updater:
        """python-tuf's own object, for the conformance adapter."""
        return self._updater

    def find(self, path: str) -> TargetFile | None:
        """Return the signed file at *path*, or None when no role lists it.

        Raises:
            TrustError, NetworkError, DiskError: Its role cannot be had or does not verify.
        """
        with _translated(self._updater, self._fetcher):
            return self._updater.get_targetinfo(path)

    def role_of(self, target: TargetFile) -> Role | None:
        """Return the role that targets delegates to and that *target* was found in."""
        trusted = self._updater._trusted_set  # noqa: SLF001 - it has no public way
        delegations = trusted.targets.delegations
        if delegations is None or delegations.roles is None:
            return None
        for name, _ in delegations.get_roles_for_target(target.path):
            part = trusted.get(name)
            if isinstance(part, Targets) and part.targets.get(target.path) is target:
                keys = _digest(delegations.roles[name].keyids)
                return Role(name=name, version=part.version, keys=keys)
        return None

    def snapshot_sha256(self) -> str:
        """Return the hash of the snapshot in use, so that a split view shows at the server."""
        try:
            data = (self._folder / f"{Snapshot.type}.json").read_bytes()
        except OSError:
            return ""
        return hashlib.sha256(data).hexdigest()


def refresh(
    folder: Path,
    url: str,
    root_metadata: bytes,
    transport: Transport,
    floor: Floor,
    now: datetime,
) -> tuple[Metadata, Floor]:
    """Bring the cache in *folder* up to date from *url*, and return what holds now.

    Returns:
        The verified metadata, and *floor* with what was seen; storing it is the caller's.

    Raises:
        TrustError: Something does not verify, is expired, or goes back in version.
        NetworkError: Something cannot be had.
        DiskError: The cache cannot be written.
    """
    fetcher = Fetcher(transport)
    try:
        updater = Updater(str(folder), url, fetcher=fetcher, config=CONFIG, bootstrap=root_metadata)
    except RepositoryError as error:
        raise TrustError(Code.BAD_DOCUMENT, f"compiled-in root: {error}") from error
    except OSError as error:
        raise DiskError(Code.IO, f"metadata cache: {error.strerror}") from error
    # 2. python-tuf took the wall clock at its construction; ours counts.
    updater._trusted_set.reference_time = now  # noqa: SLF001 - it has no public way
    with _translated(updater, fetcher):  # 3
        updater.refresh()
    return Metadata(updater, fetcher, folder), _remember(updater, floor)


def _remember(updater: Updater, floor: Floor) -> Floor:
    """Compare what was just verified with what was seen before, and return the new memory.

    The cache remembers as well, until it is wiped or torn; this does not.
    """
    trusted = updater._trusted_set  # noqa: SLF001 - it has no public way
    root = trusted.root
    # Keys that change restart a memory. So roots must not go back either, or withholding the
    # new one would bring back the old keys, and with them everything they ever signed.
    if root.version < floor.root_version:
        raise TrustError(Code.BAD_VERSION, f"root {root.version}, seen {floor.root_version}")
    timestamp_keys = _digest(root.roles[Timestamp.type].keyids)
    if floor.timestamp.forbids(trusted.timestamp.version, timestamp_keys):
        detail = f"{trusted.timestamp.version}, seen {floor.timestamp.version}"
        raise TrustError(Code.TIMESTAMP_ROLLBACK, detail)
    # A new snapshot key is how a repository recovers from targets driven too far (TUF 6.1).
    roles = root.roles
    targets_keys = _digest([*roles[Targets.type].keyids, *roles[Snapshot.type].keyids])
    if floor.targets.forbids(trusted.targets.version, targets_keys):
        detail = f"targets {trusted.targets.version}, seen {floor.targets.version}"
        raise TrustError(Code.BAD_VERSION, detail)
    return replace(
        floor,
        root_version=root.version,
        timestamp=Memory(version=trusted.timestamp.version, keys=timestamp_keys),
        targets=Memory(version=trusted.targets.version, keys=targets_keys),
    )


@contextmanager
def _translated(updater: Updater, fetcher: Fetcher) -> Iterator[None]:
    """Turn python-tuf's errors into ours."""
    try:
        yield
    except DownloadError as error:
        raise own_error(error) from error
    except RepositoryError as error:
        raise _refusal(error, updater, fetcher) from error
    except OSError as error:
        raise DiskError(Code.IO, f"metadata cache: {error.strerror}") from error
    except ValueError as error:  # what its parsers let through and its checks stumble over
        raise TrustError(Code.BAD_DOCUMENT, str(error)) from error


def _refusal(error: RepositoryError, updater: Updater, fetcher: Fetcher) -> AgentError:
    name, data = fetcher.last
    if isinstance(error, DeserializationError) and not _is_object(data):
        # A captive portal answers everything with its own page: no matter of trust yet.
        return NetworkError(Code.UNEXPECTED_ANSWER, name)
    if isinstance(error, BadVersionNumberError) and name == f"{Timestamp.type}.json":
        trusted = updater._trusted_set  # noqa: SLF001 - it has no public way
        found = json.loads(data)["signed"]["version"]  # verified before versions are compared
        if Timestamp.type in trusted and found < trusted.timestamp.version:
            detail = f"{found}, seen {trusted.timestamp.version}"
            return TrustError(Code.TIMESTAMP_ROLLBACK, detail)
    signed = trust_error(error, name)
    return TrustError(Code(signed.code), str(error))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _digest(keyids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keyids)).encode()).hexdigest()[:32]
