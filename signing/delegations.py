"""What targets delegates: to whom, under which threshold, for which paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import DelegatedRole, Delegations, Role, Targets

from rollout.documents import path_of_policy
from signing.errors import CeremonyError
from signing.roles import (
    POLICY,
    RoleKind,
    RoleName,
    parse_role,
    paths_for,
    rollout_role,
)


def role_for(name: str, keys: Sequence[Key], threshold: int) -> Role:
    """Return a top-level role of *keys*; raises CeremonyError ``too_few_keys``."""
    return Role(_keyids(name, keys, threshold), threshold)


def delegate(
    delegations: Delegations,
    name: str,
    keys: Sequence[Key],
    threshold: int,
    paths: Iterable[str],
) -> None:
    """Let *keys* sign *paths* as role *name*, or change how they do."""
    if delegations.roles is None:
        raise CeremonyError("bad_role", "hash bins are not used here", name)
    keyids = _keyids(name, keys, threshold)
    delegations.keys |= {key.keyid: key for key in keys}
    # Terminating: where this role does not know a path, no other role is asked.
    delegations.roles[name] = DelegatedRole(
        name, keyids, threshold, terminating=True, paths=list(paths)
    )


def delegated_to(targets: Targets) -> Mapping[str, DelegatedRole]:
    """Return the roles that *targets* delegates to, by name."""
    delegations = targets.delegations
    return {} if delegations is None or delegations.roles is None else delegations.roles


def authorised(targets: Targets, name: str, signers: Iterable[Signer]) -> list[Signer]:
    """Return those of *signers* that may sign role *name*."""
    role = delegated_to(targets).get(name)
    keyids = role.keyids if role is not None else ()
    return [signer for signer in signers if signer.public_key.keyid in keyids]


def delegate_releases(
    app: str, targets: Targets, role: RoleName, signers: Sequence[Signer]
) -> None:
    """Add a platform: guarded like its channel's others, or by *signers* if one key may do.

    Raises:
        CeremonyError: ``no_delegation``: the channel does not exist, or it is not known
            whose keys should guard the platform.
    """
    name = str(role)
    roles = delegated_to(targets)
    if targets.delegations is None or rollout_role(role.channel) not in roles:
        raise CeremonyError("no_delegation", f"there is no channel {role.channel}", name)
    paths = paths_for(app, role)
    for other, like in roles.items():
        parsed = parse_role(other)
        if parsed is not None and (parsed.kind, parsed.channel) == (role.kind, role.channel):
            keys = [targets.delegations.keys[keyid] for keyid in like.keyids]
            delegate(targets.delegations, name, keys, like.threshold, paths)
            return
    if roles[POLICY].threshold > 1:
        raise CeremonyError("no_delegation", "a signing event must say whose keys guard it", name)
    delegate(targets.delegations, name, [signer.public_key for signer in signers], 1, paths)


def delegate_channel(app: str, targets: Targets, channel: str) -> None:
    """Add a channel, unless it is there: its policy's path, and its rollout role.

    Raises:
        CeremonyError: ``no_delegation``: no channel shows which online key to take.
    """
    name = rollout_role(channel)
    roles = delegated_to(targets)
    if name in roles:
        return
    like = next((role for other, role in roles.items() if _is_rollout(other)), None)
    if targets.delegations is None or like is None or POLICY not in roles:
        raise CeremonyError("no_delegation", "there is no channel yet", name)
    keys = [targets.delegations.keys[keyid] for keyid in like.keyids]
    role = RoleName(kind=RoleKind.ROLLOUT, channel=channel)
    delegate(targets.delegations, name, keys, like.threshold, paths_for(app, role))
    policy = roles[POLICY]
    policy.paths = [*(policy.paths or []), path_of_policy(app, channel)]


def drop_unused_keys(keys: dict[str, Key], roles: Collection[Role]) -> None:
    """Remove the keys that no role names."""
    used = {keyid for role in roles for keyid in role.keyids}
    for keyid in keys.keys() - used:
        del keys[keyid]


def _keyids(name: str, keys: Sequence[Key], threshold: int) -> list[str]:
    keyids = list(dict.fromkeys(key.keyid for key in keys))
    if not 1 <= threshold <= len(keyids):
        detail = f"{len(keyids)} keys cannot meet a threshold of {threshold}"
        raise CeremonyError("too_few_keys", detail, name)
    return keyids


def _is_rollout(name: str) -> bool:
    role = parse_role(name)
    return role is not None and role.kind is RoleKind.ROLLOUT
