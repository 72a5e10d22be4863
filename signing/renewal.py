"""Sign a role's next metadata: one version higher, a new expiry, by the keys that may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from securesystemslib.signer import Signer
from tuf.api.metadata import Root, Targets

from signing.errors import CeremonyError
from signing.metadata import parse_root, parse_targets, signed_by
from signing.roles import ROOT, TARGETS, lifetime_of
from signing.state import RepositoryState


def current_root(current: RepositoryState) -> Root:
    """Return the newest root; raises CeremonyError when there is none."""
    if ROOT not in current.metadata:
        raise CeremonyError("no_repository", "there is no root yet", ROOT)
    return parse_root(current.metadata[ROOT]).signed


def current_role(current: RepositoryState, name: str) -> Targets:
    """Return what *name* signed last; nothing for a role that is new."""
    if name not in current.metadata:
        return Targets()
    return parse_targets(name, current.metadata[name]).signed


def renewed(
    current: RepositoryState, name: str, part: Targets, keepers: Sequence[Signer], now: datetime
) -> bytes:
    """Return *part* as the next metadata of *name*, signed by *keepers*.

    Raises:
        CeremonyError: ``no_key``: there are no keepers.
    """
    if not keepers:
        raise CeremonyError("no_key", "none of the keys at hand may sign it", name)
    part.version = current.next_version(name)
    part.expires = now + lifetime_of(name)
    return signed_by(keepers, part)


def renewed_targets(
    current: RepositoryState, targets: Targets, signers: Sequence[Signer], now: datetime
) -> bytes:
    """Return *targets* as the next top-level targets, signed by those who may."""
    keyids = current_root(current).roles[TARGETS].keyids
    keepers = [signer for signer in signers if signer.public_key.keyid in keyids]
    return renewed(current, TARGETS, targets, keepers, now)


def renewed_root(
    current: RepositoryState, root: Root, signers: Sequence[Signer], now: datetime
) -> bytes:
    """Return *root* as the next root, signed by the old root's keys and its own (TUF 5.3.4)."""
    keyids = {*current_root(current).roles[ROOT].keyids, *root.roles[ROOT].keyids}
    keepers = [signer for signer in signers if signer.public_key.keyid in keyids]
    if not keepers:
        raise CeremonyError("no_key", "none of the keys at hand may sign it", ROOT)
    root.version = current.next_version(ROOT)
    root.expires = now + lifetime_of(ROOT)
    return signed_by(keepers, root)
