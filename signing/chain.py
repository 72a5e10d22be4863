"""Walk a repository's metadata from its root, as an agent would: all or an error.

Checked here: signatures along the chain, the shape of delegations, and who may hold which
key. Expiry and versions are the callers', for they differ: the server still signs
timestamps while a policy has expired.

Not here: what the roles say (``signing.contents``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from securesystemslib.signer import Key
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import DelegatedRole, Role, Root, Snapshot, Targets, Timestamp

from rollout.documents import path_of_policy
from rollout.names import check_app
from signing.errors import TrustError
from signing.metadata import (
    parse_root,
    parse_snapshot,
    parse_targets,
    parse_timestamp,
    verify_signatures,
)
from signing.public_keys import public_half
from signing.roles import (
    POLICY,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    RoleKind,
    RoleName,
    parse_role,
    paths_for,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What the walk found. ``roles`` are all that targets delegates to, by name.

    ``delegated`` holds the metadata of those that verify; ``failures`` says why the others
    do not, a missing file included.
    """

    root: Root
    targets: Targets
    roles: Mapping[str, RoleName]
    delegated: Mapping[str, Targets]
    failures: Mapping[str, TrustError]

    def require(self, names: Iterable[str]) -> None:
        """Return if all of *names* verified; raise the first one's failure otherwise."""
        for name in names:
            if name in self.failures:
                raise self.failures[name]


def walk(
    app: str,
    metadata: Mapping[str, bytes],
    previous: Root | None = None,
    *,
    only: Collection[str] | None = None,
) -> Trusted:
    """Verify *metadata* (newest bytes by role) from its root down to every delegated role.

    Args:
        app: Whose repository it is.
        metadata: What to verify.
        previous: The root before, when the root is a new one: it must have signed, too.
        only: The delegated roles to verify, when the others are known to be as they were
            under the same delegations; None for all.

    Raises:
        TrustError: Root or targets do not verify, or a delegation or a key is not where
            docs/trust.md, 2 has it. Delegated roles that fail are only noted.
    """
    root = verify_root(_bytes_of(metadata, ROOT), previous)
    targets = verify_targets(root, _bytes_of(metadata, TARGETS))
    roles = delegations_of(app, targets)
    check_custody(root, targets)
    delegated: dict[str, Targets] = {}
    failures: dict[str, TrustError] = {}
    for name in roles if only is None else [name for name in roles if name in only]:
        try:
            delegated[name] = verify_leaf(targets, name, _bytes_of(metadata, name))
        except TrustError as error:
            failures[name] = error
    return Trusted(root=root, targets=targets, roles=roles, delegated=delegated, failures=failures)


def verify_root(data: bytes, previous: Root | None) -> Root:
    """Return the root in *data*, signed by itself and by *previous* if there is one.

    Raises:
        TrustError: ``unsigned``, ``bad_version`` when it does not follow at once (TUF
            5.3.5), or ``bad_document``.
    """
    metadata = parse_root(data)
    root = metadata.signed
    if previous is not None:
        if root.version != previous.version + 1:
            raise TrustError("bad_version", ROOT, f"version {root.version} skips or goes back")
        verify_signatures(previous, ROOT, metadata)
    verify_signatures(root, ROOT, metadata)
    return root


def verify_targets(root: Root, data: bytes) -> Targets:
    """Return the top-level targets in *data*, signed as *root* wants it."""
    metadata = parse_targets(TARGETS, data)
    verify_signatures(root, TARGETS, metadata)
    return metadata.signed


def verify_leaf(targets: Targets, name: str, data: bytes) -> Targets:
    """Return the delegated role in *data*, signed as *targets* wants it."""
    metadata = parse_targets(name, data)
    verify_signatures(targets, name, metadata)
    if metadata.signed.delegations is not None:
        raise TrustError("path_scope", name, "only targets delegates")
    return metadata.signed


def verify_timestamp(root: Root, data: bytes) -> Timestamp:
    """Return the timestamp in *data*, signed as *root* wants it."""
    metadata = parse_timestamp(data)
    verify_signatures(root, TIMESTAMP, metadata)
    return metadata.signed


def verify_snapshot(root: Root, timestamp: Timestamp, data: bytes) -> Snapshot:
    """Return the snapshot in *data*, if it is the one that *timestamp* names.

    Raises:
        TrustError: ``hash_mismatch``, ``unsigned``, ``bad_version`` or ``bad_document``.
    """
    try:
        timestamp.snapshot_meta.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise TrustError("hash_mismatch", SNAPSHOT, str(error)) from error
    metadata = parse_snapshot(data)
    verify_signatures(root, SNAPSHOT, metadata)
    if metadata.signed.version != timestamp.snapshot_meta.version:
        raise TrustError("bad_version", SNAPSHOT, "the timestamp names another version")
    return metadata.signed


def check_listed(snapshot: Snapshot, role: str, version: int) -> None:
    """Return if *snapshot* lists *role* in this version; raises TrustError ``bad_version``."""
    listed = snapshot.meta.get(f"{role}.json")
    if listed is None or listed.version != version:
        raise TrustError("bad_version", role, f"version {version} is not the snapshot's")


def delegations_of(app: str, targets: Targets) -> dict[str, RoleName]:
    """Return the roles that *targets* delegates to, by name.

    Raises:
        TrustError: ``path_scope``: a role that is not in the table, or with other paths.
    """
    check_app(app)
    delegations = targets.delegations
    if delegations is None or delegations.roles is None:
        raise TrustError("path_scope", TARGETS, "it delegates nothing")
    names: dict[str, RoleName] = {}
    for name in delegations.roles:
        role = parse_role(name)
        if role is None:  # python-tuf refuses top-level names here
            raise TrustError("path_scope", TARGETS, f"{name!r} is no role to delegate to")
        names[name] = role
    if POLICY not in names:
        raise TrustError("path_scope", TARGETS, "nothing bounds its decisions: no policy role")
    channels = sorted(role.channel for role in names.values() if role.kind is RoleKind.ROLLOUT)
    for name, role in names.items():
        if role.kind is RoleKind.RELEASES and role.channel not in channels:
            raise TrustError("path_scope", name, "its channel has no rollout role")
        _check_scope(name, delegations.roles[name], paths_for(app, role, channels))
    return names


def channels_of(trusted: Trusted) -> tuple[str, ...]:
    """Return the channels that the repository serves, sorted."""
    roles = trusted.roles.values()
    return tuple(sorted(role.channel for role in roles if role.kind is RoleKind.ROLLOUT))


def policy_paths(app: str, trusted: Trusted) -> frozenset[str]:
    """Return the paths that the policy role must fill: one for each channel."""
    return frozenset(path_of_policy(app, channel) for channel in channels_of(trusted))


def check_custody(root: Root, targets: Targets) -> None:
    """Return if no key is where it could do harm: each online key alone, none offline.

    A release key on the server would undo everything; and who holds the snapshot key must
    not hold the timestamp key by the same theft of one file.

    Raises:
        TrustError: ``bad_keys``.
    """
    delegations = targets.delegations
    children = (delegations.roles or {}) if delegations is not None else {}
    keys = delegations.keys if delegations is not None else {}
    rollouts = {name: role for name, role in children.items() if _is_rollout(name)}
    others = {name: role for name, role in children.items() if not _is_rollout(name)}
    holders = {
        "offline": _halves(root.keys, (root.roles[ROOT], root.roles[TARGETS]))
        | _halves(keys, others.values()),
        "rollout": _halves(keys, rollouts.values()),
        SNAPSHOT: _halves(root.keys, (root.roles[SNAPSHOT],)),
        TIMESTAMP: _halves(root.keys, (root.roles[TIMESTAMP],)),
    }
    seen: dict[bytes, str] = {}
    for holder, halves in holders.items():
        for half in halves:
            if half in seen:
                raise TrustError("bad_keys", holder, f"one of its keys is {seen[half]}'s, too")
            seen[half] = holder


def _check_scope(name: str, role: DelegatedRole, paths: Iterable[str]) -> None:
    if role.terminating is not True:
        raise TrustError("path_scope", name, "the delegation does not terminate")
    # Exactly once each: a pattern more would let one role speak for another.
    if role.paths is None or sorted(role.paths) != sorted(paths):
        raise TrustError("path_scope", name, f"its paths are not {', '.join(sorted(paths))}")


def _halves(keys: Mapping[str, Key], roles: Iterable[Role]) -> set[bytes]:
    return {public_half(keys[keyid]) for role in roles for keyid in role.keyids}


def _is_rollout(name: str) -> bool:
    role = parse_role(name)
    return role is not None and role.kind is RoleKind.ROLLOUT


def _bytes_of(metadata: Mapping[str, bytes], role: str) -> bytes:
    if role not in metadata:
        raise TrustError("bad_document", role, "there is no such metadata")
    return metadata[role]
