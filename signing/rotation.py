"""Change who signs: new keys and thresholds for a role, and one signature more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Metadata, Targets

from signing.delegations import authorised, delegate, delegated_to, drop_unused_keys, role_for
from signing.errors import CeremonyError
from signing.metadata import add_signatures, parse_root, parse_targets
from signing.renewal import current_role, current_root, renewed, renewed_root, renewed_targets
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from signing.state import RepositoryState

_TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Whose keys guard a role, and how many must sign."""

    keys: tuple[Key, ...]
    threshold: int = 1


def change_keys(
    current: RepositoryState,
    guards: Mapping[str, Guard],
    signers: Sequence[Signer],
    now: datetime,
) -> dict[str, bytes]:
    """Return what gives each role in *guards* its new keys: one new root, one new targets.

    What those roles have signed is signed again by their new keys, as far as these are
    among *signers*; otherwise that is still to be done, in the same submission. The server
    signs its own roles again by itself.

    Raises:
        CeremonyError: ``no_key``, ``bad_role``, or ``too_few_keys`` for a threshold.
    """
    now = now.astimezone(UTC)
    top = {name: guard for name, guard in guards.items() if name in _TOP_LEVEL}
    leaves = {name: guard for name, guard in guards.items() if name not in _TOP_LEVEL}
    signed: dict[str, bytes] = {}
    if top:
        root = current_root(current)
        for name, guard in top.items():
            root.roles[name] = role_for(name, guard.keys, guard.threshold)
            root.keys |= {key.keyid: key for key in guard.keys}
        drop_unused_keys(root.keys, root.roles.values())
        signed[ROOT] = renewed_root(current, root, signers, now)
    if leaves or TARGETS in top:
        targets = current_role(current, TARGETS)
        for name, guard in leaves.items():
            _replace(targets, name, guard)
        # The new root says who signs targets from now on.
        after = current.with_changes(signed)
        signed[TARGETS] = renewed_targets(after, targets, signers, now)
        for name in leaves:
            keepers = authorised(targets, name, signers)
            if keepers and name in current.metadata:
                part = current_role(current, name)
                signed[name] = renewed(current, name, part, keepers, now)
    return signed


def add_signature(role: str, data: bytes, signer: Signer) -> bytes:
    """Return the metadata *data* of *role* with one more signature; raises TrustError."""
    metadata: Metadata[Any]
    metadata = parse_root(data) if role == ROOT else parse_targets(role, data)
    return add_signatures(metadata, [signer])


def _replace(targets: Targets, name: str, guard: Guard) -> None:
    roles = delegated_to(targets)
    if targets.delegations is None or name not in roles:
        raise CeremonyError("bad_role", "there is no such role", name)
    paths = roles[name].paths or []
    delegate(targets.delegations, name, guard.keys, guard.threshold, paths)
    drop_unused_keys(targets.delegations.keys, delegated_to(targets).values())
