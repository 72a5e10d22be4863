"""Change who signs: new keys and thresholds for a role, and one signature more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Metadata

from signing.delegations import delegate, delegated_to, drop_unused_keys, role_for
from signing.errors import CeremonyError
from signing.metadata import add_signatures, parse_root, parse_targets
from signing.renewal import current_role, current_root, renewed_root, renewed_targets
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from signing.state import RepositoryState

_TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)


def change_keys(
    current: RepositoryState,
    role: str,
    keys: Sequence[Key],
    *,
    threshold: int,
    signers: Sequence[Signer],
    now: datetime,
) -> dict[str, bytes]:
    """Return the new root, or new targets, that gives *role* these keys and threshold.

    What the role itself has signed is to be signed again (``resign``, on the state with
    this change) by its new keys, in the same submission.

    Raises:
        CeremonyError: ``no_key``, ``bad_role``, or ``too_few_keys`` for the threshold.
    """
    now = now.astimezone(UTC)
    if role in _TOP_LEVEL:
        root = current_root(current)
        root.roles[role] = role_for(role, keys, threshold)
        root.keys |= {key.keyid: key for key in keys}
        drop_unused_keys(root.keys, root.roles.values())
        return {ROOT: renewed_root(current, root, signers, now)}
    targets = current_role(current, TARGETS)
    roles = delegated_to(targets)
    if role not in roles or targets.delegations is None:
        raise CeremonyError("bad_role", "there is no such role", role)
    delegate(targets.delegations, role, keys, threshold, roles[role].paths or [])
    drop_unused_keys(targets.delegations.keys, delegated_to(targets).values())
    return {TARGETS: renewed_targets(current, targets, signers, now)}


def add_signature(role: str, data: bytes, signer: Signer) -> bytes:
    """Return the metadata *data* of *role* with one more signature; raises TrustError."""
    metadata: Metadata[Any]
    metadata = parse_root(data) if role == ROOT else parse_targets(role, data)
    return add_signatures(metadata, [signer])
