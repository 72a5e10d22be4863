"""Where a release's files lie: in public, or behind an enrolment credential.

Artifacts are admitted to ``private/<app>/…``. They are copied to ``apps/<app>/…``, which any
dumb file server or CDN may serve, once a *signed* document offers their version to
installs that need no credential. Nothing is ever moved back: what was public stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from rollout.audience import is_general
from rollout.documents import parse_policy, parse_rollout
from rollout.model import Entry, RolloutState
from signing.contents import RELEASE_FILE
from update_server.service.ports import (
    Blobs,
    NotFoundError,
    StoredDocument,
    StoredTarget,
    Stores,
)
from update_server.service.repository.contents import POLICY

_OFFERING: Final = frozenset({RolloutState.ACTIVE, RolloutState.COMPLETED})


def public_key(app: str, path: str) -> str:
    """Return the key of a published file; *path* is as in a journal (``tuf/…``, ``targets/…``)."""
    return f"apps/{app}/{path}"


def private_key(app: str, path: str) -> str:
    """Return the key of a file that only members of a group may have."""
    return f"private/{app}/{path}"


def upload_key(app: str, sha256: str) -> str:
    """Return the key of an app's finished upload."""
    return f"blobs/{app}/{sha256}"


def stored_path(target: StoredTarget) -> str:
    """Return where a target lies below its app: its name bears its hash."""
    folder, _, name = target.path.rpartition("/")
    return f"targets/{folder}/{target.sha256}.{name}"


def has(blobs: Blobs, key: str, length_bytes: int) -> bool:
    """Whether *key* is there with this length."""
    try:
        return blobs.size(key) == length_bytes
    except NotFoundError:
        return False


def offered_to_all(documents: Sequence[StoredDocument]) -> frozenset[tuple[str, Version]]:
    """Return (channel, version) of what installs without a credential may be told to take."""
    offered: set[tuple[str, Version]] = set()
    for stored in documents:
        if stored.kind == POLICY:
            must_reach = parse_policy(stored.document).must_reach
            offered |= {(stored.channel, must.version) for must in must_reach}
        else:
            entries = parse_rollout(stored.document).entries
            offered |= {(stored.channel, entry.version) for entry in entries if _is_general(entry)}
    return frozenset(offered)


def _is_general(entry: Entry) -> bool:
    if entry.state not in _OFFERING:
        return False
    # A rollback without rings is for all installs on the versions that it names.
    rollback = entry.rollback and not entry.rings
    return rollback or any(is_general(ring) for ring in entry.rings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Files that belong into public, and the versions that they complete."""

    app: str
    files: tuple[StoredTarget, ...]
    versions: frozenset[tuple[str, Version]]


class Placement:
    """Makes public what signed documents offer to all."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        # What is public stays public, so it is looked up once per process.
        self._placed: set[tuple[str, str, Version]] = set()

    def move_for(self, stores: Stores, app: str) -> Move:
        """Return what the newest signed documents offer to all, and was not placed yet."""
        wanted = offered_to_all(stores.releases.documents(app))
        new = frozenset(pair for pair in wanted if (app, *pair) not in self._placed)
        targets = stores.releases.targets(app) if new else ()
        files = tuple(target for target in targets if _belongs(target, new))
        return Move(app=app, files=files, versions=new)

    def carry_out(self, move: Move) -> None:
        """Copy. What lies there already is left alone, so this may be repeated."""
        for target in move.files:
            path = stored_path(target)
            if not has(self._blobs, public_key(move.app, path), target.length_bytes):
                self._blobs.copy(private_key(move.app, path), public_key(move.app, path))
        self._placed |= {(move.app, *pair) for pair in move.versions}


def is_document(target: StoredTarget) -> bool:
    """Whether *target* is a release document: it is published with the metadata, at once."""
    return target.path.endswith(f"/{RELEASE_FILE}")


def _belongs(target: StoredTarget, versions: AbstractSet[tuple[str, Version]]) -> bool:
    if target.release is None or is_document(target):
        return False
    channel, _, version = target.release
    return (channel, Version(version)) in versions
