"""Sign what only people sign: root, targets, policies, releases.

Every function takes the newest metadata and returns new signed bytes by role; nothing is
written or sent, so the same code serves one command at home and an air-gapped table. Where
fewer keys are at hand than a threshold asks for, the rest is added by ``add_signature``;
what counts is what ``signing.admit`` says of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Delegations, Root, Targets

from rollout.documents import parse_release
from signing.contents import role_contents
from signing.delegations import (
    authorised,
    delegate,
    delegate_channel,
    delegate_releases,
    delegated_to,
    role_for,
)
from signing.drafts import Draft, check_contents, policy_targets, release_targets
from signing.errors import CeremonyError
from signing.metadata import signed_by
from signing.prune import prune
from signing.renewal import current_role, current_root, renewed, renewed_root, renewed_targets
from signing.roles import (
    POLICY,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Layout,
    RoleKind,
    RoleName,
    RoleRule,
    parse_role,
)
from signing.state import RepositoryState
from signing.verify import SignedFile

STANDBY_KEY = "timestamp-standby"
"""Name of the cold second timestamp key among the online keys."""

_TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)


def first_repository(
    layout: Layout,
    signers: Mapping[str, Sequence[Signer]],
    online_keys: Mapping[str, Key],
    policies: Mapping[str, bytes],
    now: datetime,
    *,
    spare_keys: Mapping[str, Sequence[Key]] | None = None,
) -> dict[str, bytes]:
    """Return the first root, targets and policy, and an empty releases role per platform.

    Args:
        layout: The role table.
        signers: The keys at hand of each offline role, by ``root``, ``targets``, ``policy``
            and ``releases``; or, for some releases only, by ``releases.<channel>`` or the
            whole name.
        online_keys: The server's public keys, by ``rollout``, ``snapshot``, ``timestamp``;
            and ``timestamp-standby``, which is kept cold.
        policies: Policy documents by channel, one for each channel of the layout.
        now: UTC.
        spare_keys: Further public keys by role, whose private halves are not at hand: a
            backup on paper, other people's.

    Raises:
        CeremonyError: A policy or key is missing, or a document does not parse.
    """
    now = now.astimezone(UTC)
    if set(policies) != set(layout.channels):
        raise CeremonyError("missing_policy", "not one policy for each channel", POLICY)
    holders = _Holders(signers=signers, spare=spare_keys or {}, online=online_keys)
    rules = {rule.name: rule for rule in layout.roles()}
    root = Root(version=1, expires=now + rules[ROOT].expires)
    for name in _TOP_LEVEL:
        keys = holders.keys(rules[name])
        root.roles[name] = role_for(name, keys, rules[name].threshold)
        root.keys |= {key.keyid: key for key in keys}
    delegations = Delegations(keys={}, roles={})
    for rule in layout.delegated_roles():
        delegate(delegations, rule.name, holders.keys(rule), rule.threshold, rule.paths)
    parts: dict[str, Root | Targets] = {
        ROOT: root,
        TARGETS: Targets(version=1, expires=now + rules[TARGETS].expires, delegations=delegations),
        POLICY: Targets(
            version=1,
            expires=now + rules[POLICY].expires,
            targets=policy_targets(layout.app, policies),
        ),
    }
    for rule in layout.delegated_roles():
        if rule.kind is RoleKind.RELEASES:
            # Empty, but there: agents take a role that the snapshot lacks for an error.
            parts[rule.name] = Targets(version=1, expires=now + rule.expires)
    return {name: signed_by(holders.signers_of(name), part) for name, part in parts.items()}


def sign_release(
    current: RepositoryState,
    document: bytes,
    files: Mapping[str, tuple[str, int]],
    signers: Sequence[Signer],
    now: datetime,
) -> dict[str, bytes]:
    """Return what ``sign_releases`` does for one release of one platform."""
    return sign_releases(current, [Draft(document=document, files=files)], signers, now)


def sign_releases(
    current: RepositoryState,
    drafts: Sequence[Draft],
    signers: Sequence[Signer],
    now: datetime,
) -> dict[str, bytes]:
    """Return new releases roles, each one version higher, that name the drafts as well.

    A platform that is new is delegated to, when the targets key is at hand: guarded like
    the channel's other platforms, or by *signers* when there are none and one key suffices.
    Old versions leave the metadata when there are over 100 (``signing.prune``).

    Raises:
        CeremonyError: ``no_key``, ``no_delegation``, ``bad_document``, ``released_already``
            or ``too_many_versions``.
    """
    now = now.astimezone(UTC)
    targets = current_role(current, TARGETS)
    known = set(delegated_to(targets))
    parts: dict[RoleName, Targets] = {}
    for draft in drafts:
        role, added = release_targets(current.app, draft)
        if str(role) not in delegated_to(targets):
            delegate_releases(current.app, targets, role, signers)
        part = parts.setdefault(role, current_role(current, str(role)))
        if part.targets.keys() & added.keys():
            raise CeremonyError("released_already", "that version is there already", str(role))
        part.targets |= added
    signed = {}
    for role, part in parts.items():
        name = str(role)
        part.targets = prune(current, role, part.targets)
        check_contents(current.app, role, part)
        signed[name] = renewed(current, name, part, authorised(targets, name, signers), now)
    if set(delegated_to(targets)) != known:
        signed[TARGETS] = renewed_targets(current, targets, signers, now)
    return signed


def is_released(current: RepositoryState, draft: Draft) -> bool:
    """Tell whether *current* names the draft's release, with the same files on the same terms.

    A draft gets a new salt and time whenever it is made, and deltas from what runs on that day,
    so these may differ.

    Raises:
        CeremonyError: ``bad_document``: the draft is no release of this app.
        TrustError: The metadata is not what it should be.
    """
    role, _ = release_targets(current.app, draft)
    signed = role_contents(current, str(role))
    drafted = parse_release(draft.document)
    release = signed.releases.get(drafted.version)
    return (
        release is not None
        and replace(
            drafted, salt=release.salt, released_at=release.released_at, deltas=release.deltas
        )
        == release
        and all(
            signed.files.get(path)
            == SignedFile(path=path, sha256=sha256, length_bytes=length_bytes)
            for path, (sha256, length_bytes) in draft.files.items()
        )
    )


def sign_policy(
    current: RepositoryState,
    policies: Mapping[str, bytes],
    signers: Sequence[Signer],
    now: datetime,
) -> dict[str, bytes]:
    """Return a new policy role with *policies* by channel; other channels keep theirs.

    A channel that is new gets its roles from targets, whose key must then be at hand; its
    rollouts are signed by the online key of the other channels.

    Raises:
        CeremonyError: ``no_key``, or ``bad_document`` for a policy that does not parse.
    """
    now = now.astimezone(UTC)
    targets = current_role(current, TARGETS)
    known = set(delegated_to(targets))
    base = current_role(current, POLICY)
    base.targets |= policy_targets(current.app, policies)
    for channel in policies:
        delegate_channel(current.app, targets, channel)
    signed = {POLICY: renewed(current, POLICY, base, authorised(targets, POLICY, signers), now)}
    if set(delegated_to(targets)) != known:
        signed[TARGETS] = renewed_targets(current, targets, signers, now)
    return signed


def resign(
    current: RepositoryState, role: str, signers: Sequence[Signer], now: datetime
) -> dict[str, bytes]:
    """Return *role* with the same contents, the next version and a new expiry.

    Raises:
        CeremonyError: ``no_key``, or ``bad_role`` for an online role.
    """
    now = now.astimezone(UTC)
    if role == ROOT:
        return {ROOT: renewed_root(current, current_root(current), signers, now)}
    name = parse_role(role)
    if name is None or name.kind.online:
        raise CeremonyError("bad_role", "it is no role that people sign", role)
    targets = current_role(current, TARGETS)
    if role == TARGETS:
        return {TARGETS: renewed_targets(current, targets, signers, now)}
    keepers = authorised(targets, role, signers)
    return {role: renewed(current, role, current_role(current, role), keepers, now)}


# --- who signs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holders:
    """Whose keys a first repository lists, and which of them are at hand."""

    signers: Mapping[str, Sequence[Signer]]
    spare: Mapping[str, Sequence[Key]]
    online: Mapping[str, Key]

    def keys(self, rule: RoleRule) -> list[Key]:
        """Return the public keys of a role, in-use ones first."""
        if rule.kind.online:
            if rule.kind not in self.online:
                raise CeremonyError("missing_key", "the server's public key is missing", rule.name)
            names = (rule.kind, STANDBY_KEY if rule.kind is RoleKind.TIMESTAMP else rule.kind)
            return [self.online[name] for name in dict.fromkeys(names) if name in self.online]
        at_hand = [signer.public_key for signer in self.signers_of(rule.name)]
        return at_hand + list(_by_role(self.spare, rule.name))

    def signers_of(self, name: str) -> Sequence[Signer]:
        """Return the keys at hand for a role."""
        return _by_role(self.signers, name)


_X = TypeVar("_X")


def _by_role(mapping: Mapping[str, Sequence[_X]], name: str) -> Sequence[_X]:
    """Look up a role: whole name, then ``releases.<channel>``, then its kind."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (key := ".".join(parts[:length])) in mapping:
            return mapping[key]
    return ()
