"""Plan the next signed state of an app's repository, as a journal of files in order.

Pure: bytes and signers in, bytes out. Nothing is read or written here, so what the signer
process signs can be checked, stored and published by others.

Version numbers are burned, never reused: an aborted ``57.snapshot.json`` may sit in a
cache somewhere. Gaps are legal for all roles but root.

Not here: what may be submitted (``signing.admit``), and which rollout document may be
signed (the signer process asks ``rollout.changes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from securesystemslib.signer import Signer
from tuf.api.metadata import MetaFile, Snapshot, Targets, Timestamp

from rollout.documents import parse_rollout, path_of_rollout, render_rollout
from rollout.errors import RolloutError
from rollout.model import RolloutDocument
from rollout.strict_json import parse_strict, render_canonical
from signing.chain import (
    check_listed,
    delegations_of,
    verify_leaf,
    verify_root,
    verify_snapshot,
    verify_targets,
    verify_timestamp,
    walk,
)
from signing.contents import role_contents
from signing.delegations import delegated_to
from signing.errors import PlanError, TrustError
from signing.journal import TIMESTAMP_PATH, Journal, Write
from signing.metadata import (
    inline_target,
    parse_root,
    parse_snapshot,
    parse_targets,
    signed_by,
    verify_signatures,
    version_of,
)
from signing.roles import (
    ROLLOUT_EVERY,
    ROLLOUT_EXPIRES,
    ROOT,
    SNAPSHOT,
    SNAPSHOT_EVERY,
    SNAPSHOT_EXPIRES,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_EXPIRES,
    TIMESTAMP_EXPIRES_MAX,
    TIMESTAMP_EXPIRES_MIN,
    RoleKind,
    parse_role,
    rollout_role,
)
from signing.state import RepositoryState
from signing.verify import document_of

NEXT_CHECK_IN_SECONDS = 14_400
"""What the empty rollout document of a new channel asks of agents: every four hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSigners:
    """The server's keys. More than one each only while keys are being replaced."""

    rollout: tuple[Signer, ...]
    snapshot: tuple[Signer, ...]
    timestamp: tuple[Signer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The next state, and the journal that publishes it."""

    state: RepositoryState
    journal: Journal


def plan(
    state: RepositoryState,
    changed: Mapping[str, bytes],
    files: Mapping[str, tuple[str, int]],
    online: OnlineSigners,
    now: datetime,
    *,
    timestamp_expires: timedelta = TIMESTAMP_EXPIRES,
) -> Plan:
    """Sign the state that follows *state* when *changed* is taken in.

    With nothing changed this refreshes: always a new timestamp; snapshot and rollout roles
    once a day. Rollout roles that have no metadata yet, or whose key was replaced, are
    signed as well: the former with an empty document.

    Args:
        state: The newest signed state.
        changed: New signed bytes by role; never snapshot or timestamp.
        files: (sha256, length in bytes) by path of the artifacts that are in place.
        online: The server's keys.
        now: UTC.
        timestamp_expires: 6 h to 7 d.

    Raises:
        PlanError: An agent would refuse the result, so there is none.
    """
    if not TIMESTAMP_EXPIRES_MIN <= timestamp_expires <= TIMESTAMP_EXPIRES_MAX:
        raise PlanError("bad_expiry", TIMESTAMP, "its expiry is not from 6 h to 7 d")
    now = now.astimezone(UTC)
    try:
        # 1. Take in what was changed, each above every number ever seen.
        _check_versions(state, changed)
        delegated = dict(changed)
        # 2. Rollout roles that are due, or that nobody signed yet.
        delegated |= _due_rollouts(state, state.with_changes(changed), changed, online, now)
        after = state.with_changes(delegated)
        # 3. The snapshot, if anything changed or a day has passed.
        if delegated or _snapshot_is_due(after, now):
            after = after.with_changes({SNAPSHOT: _sign_snapshot(after, online, now)})
        # 4. The timestamp, always.
        timestamp = _sign_timestamp(after, online, now + timestamp_expires)
        after = after.with_changes({TIMESTAMP: timestamp})
        # 5. Look at the result as an agent would.
        _check_as_agent(state, after, delegated)
        # 6. Put it in order (docs/trust.md, 8).
        ordered = sorted(delegated, key=_rank)
        writes = (
            *_document_writes(state, after, ordered, files),
            *(_metadata_write(role, delegated[role]) for role in ordered),
            *_snapshot_writes(state, after),
            Write(path=TIMESTAMP_PATH, data=timestamp, swap=True),
        )
    except TrustError as error:
        raise PlanError(error.code, error.subject, error.detail) from error
    journal = Journal(app=state.app, timestamp_version=version_of(timestamp), writes=writes)
    return Plan(state=after, journal=journal)


def sign_rollout(
    state: RepositoryState, document: bytes, online: OnlineSigners, now: datetime
) -> dict[str, bytes]:
    """Return new metadata, by role, that makes *document* the rollout of its channel.

    The caller has judged the change; this only signs.

    Raises:
        PlanError: ``bad_document``: it does not parse, is another app's, or not canonical.
    """
    try:
        rollout = parse_rollout(document)
        custom = parse_strict(document)
    except RolloutError as error:
        raise PlanError("bad_document", RoleKind.ROLLOUT, str(error)) from error
    role = rollout_role(rollout.channel)
    if rollout.app != state.app or render_canonical(custom) != document:
        raise PlanError("bad_document", role, "it is another app's, or not canonical")
    path = path_of_rollout(state.app, rollout.channel)
    targets = Targets(
        version=state.next_version(role),
        expires=now.astimezone(UTC) + ROLLOUT_EXPIRES,
        targets={path: inline_target(path, document)},
    )
    return {role: signed_by(online.rollout, targets)}


# --- 1, 2 --------------------------------------------------------------------------------


def _check_versions(state: RepositoryState, changed: Mapping[str, bytes]) -> None:
    for role, data in changed.items():
        kind = parse_role(role)
        if kind is None or role in {SNAPSHOT, TIMESTAMP}:
            raise TrustError("path_scope", role, "it is no role to be taken in")
        version, expected = version_of(data), state.next_version(role)
        if version < expected:  # that a root follows at once is looked at with its signatures
            raise TrustError("bad_version", role, f"version {version}, not {expected} or above")


def _due_rollouts(
    before: RepositoryState,
    merged: RepositoryState,
    changed: Mapping[str, bytes],
    online: OnlineSigners,
    now: datetime,
) -> dict[str, bytes]:
    root = verify_root(merged.metadata.get(ROOT, b""), None)
    targets = verify_targets(root, merged.metadata.get(TARGETS, b""))
    old = _old_targets(before)
    due: dict[str, bytes] = {}
    for name, role in delegations_of(merged.app, targets).items():
        if role.kind is not RoleKind.ROLLOUT or name in changed:
            continue
        if name not in delegated_to(old) or name not in merged.metadata:
            # New, or dropped once and added again: nothing of old is revived.
            document = _empty_document(merged.app, role.channel, now)
        elif _is_due(targets, name, merged.metadata[name], now):
            document = _signed_document(old, name, merged.metadata[name])
        else:
            continue
        due |= sign_rollout(merged, document, online, now)
    return due


def _old_targets(before: RepositoryState) -> Targets:
    if TARGETS not in before.metadata:
        return Targets()
    return parse_targets(TARGETS, before.metadata[TARGETS]).signed


def _empty_document(app: str, channel: str, now: datetime) -> bytes:
    document = RolloutDocument(
        app=app, channel=channel, issued=now, next_check_in_seconds=NEXT_CHECK_IN_SECONDS
    )
    return render_rollout(document)


def _is_due(targets: Targets, name: str, data: bytes, now: datetime) -> bool:
    metadata = parse_targets(name, data)
    try:
        verify_signatures(targets, name, metadata)
    except TrustError:
        return True  # targets names another key now
    return metadata.signed.expires - now <= ROLLOUT_EXPIRES - ROLLOUT_EVERY


def _signed_document(old: Targets, name: str, data: bytes) -> bytes:
    """Return the document that was signed under the delegations of *old*.

    Verified once more: a key never signs again what it finds lying about.
    """
    (target,) = verify_leaf(old, name, data).targets.values()
    return document_of(target)


# --- 3, 4 --------------------------------------------------------------------------------


def _snapshot_is_due(state: RepositoryState, now: datetime) -> bool:
    if SNAPSHOT not in state.metadata:
        return True
    snapshot = parse_snapshot(state.metadata[SNAPSHOT])
    root = parse_root(state.metadata[ROOT]).signed
    try:
        verify_signatures(root, SNAPSHOT, snapshot)
    except TrustError:
        return True
    return snapshot.signed.expires - now <= SNAPSHOT_EXPIRES - SNAPSHOT_EVERY


def _sign_snapshot(state: RepositoryState, online: OnlineSigners, now: datetime) -> bytes:
    meta: dict[str, MetaFile] = {}
    if SNAPSHOT in state.metadata:
        # Agents refuse a snapshot that forgets a role or takes one back (TUF 5.5.5).
        meta |= parse_snapshot(state.metadata[SNAPSHOT]).signed.meta
    for role in state.metadata:
        if role not in {ROOT, SNAPSHOT, TIMESTAMP}:
            meta[f"{role}.json"] = MetaFile(version_of(state.metadata[role]))
    snapshot = Snapshot(
        version=state.next_version(SNAPSHOT),
        expires=now + SNAPSHOT_EXPIRES,
        meta=dict(sorted(meta.items())),
    )
    return signed_by(online.snapshot, snapshot)


def _sign_timestamp(state: RepositoryState, online: OnlineSigners, expires: datetime) -> bytes:
    snapshot = state.metadata[SNAPSHOT]
    timestamp = Timestamp(
        version=state.next_version(TIMESTAMP),
        expires=expires,
        # The hash binds the one snapshot of that version: its key alone cannot swap it.
        snapshot_meta=MetaFile.from_data(version_of(snapshot), snapshot, ["sha256"]),
    )
    return signed_by(online.timestamp, timestamp)


# --- 5 -----------------------------------------------------------------------------------


def _check_as_agent(
    before: RepositoryState, after: RepositoryState, changed: Mapping[str, bytes]
) -> None:
    previous = None
    if ROOT in changed and ROOT in before.metadata:
        previous = parse_root(before.metadata[ROOT]).signed
    # Under the same delegations, what did not change verified when it came in.
    only = None if changed.keys() & {ROOT, TARGETS} else set(changed)
    trusted = walk(after.app, after.metadata, previous, only=only)
    trusted.require(trusted.failures)
    for role in changed:
        if role not in {ROOT, TARGETS, *trusted.roles}:
            raise TrustError("unsigned", role, "targets does not delegate to it")
    timestamp = verify_timestamp(trusted.root, after.metadata[TIMESTAMP])
    snapshot = verify_snapshot(trusted.root, timestamp, after.metadata[SNAPSHOT])
    for role in (TARGETS, *trusted.roles):
        check_listed(snapshot, role, version_of(after.metadata[role]))


# --- 6 -----------------------------------------------------------------------------------


def _document_writes(
    before: RepositoryState,
    after: RepositoryState,
    roles: Iterable[str],
    files: Mapping[str, tuple[str, int]],
) -> Iterator[Write]:
    for role in roles:
        old, new = role_contents(before, role), role_contents(after, role)
        for path, file in new.files.items():
            if old.files.get(path) == file:
                continue
            if path in new.documents:
                yield Write(path=file.stored_path, data=new.documents[path])
            elif files.get(path) != (file.sha256, file.length_bytes):
                raise TrustError("missing_file", path, "it is not in place")


def _snapshot_writes(before: RepositoryState, after: RepositoryState) -> Iterator[Write]:
    if after.metadata[SNAPSHOT] != before.metadata.get(SNAPSHOT):
        yield _metadata_write(SNAPSHOT, after.metadata[SNAPSHOT])


def _metadata_write(role: str, data: bytes) -> Write:
    return Write(path=f"tuf/{version_of(data)}.{role}.json", data=data)


def _rank(role: str) -> tuple[int, str]:
    """Order: root, targets, policy, releases, rollouts."""
    kind, _, rest = role.partition(".")
    return list(RoleKind).index(RoleKind(kind)), rest
