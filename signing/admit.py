"""Decide whether submitted metadata may enter the repository.

The service asks before it places files, and the signer process asks again by itself: a
stolen API token without a key can publish nothing, and an owned web process neither.

Not here: signing anything (``signing.repository``), placing files (``signing.publish``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from packaging.version import Version
from tuf.api.metadata import Root, Targets

from rollout.model import Policy, Release
from signing.chain import Trusted, policy_paths, walk
from signing.contents import RoleContents, contents_of, role_contents
from signing.errors import StaleBaseError, SubmissionError, TrustError
from signing.metadata import parse_root, parse_targets
from signing.roles import POLICY, ROOT, RoleKind, RoleName, parse_role
from signing.state import RepositoryState
from signing.verify import SignedFile

Present = Callable[[str, str, int], bool]
"""(path, sha256, length in bytes): whether the file is in place, hashed and counted."""

# Agents refuse a document that was issued further ahead than this, and so never stop at it
# (docs/trust.md, 6); nor may one enter.
CLOCK_SKEW = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a submission changes. Empty when all of it was admitted before.

    ``documents`` holds the rendered documents by path, and ``files`` the (sha256, length)
    of every artifact by path, both only as far as they are new.
    """

    changed: Mapping[str, bytes] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
    policies: tuple[Policy, ...] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """sha256 by path of all that is new: what ``known`` must hold from now on."""
        documents = {
            path: hashlib.sha256(document).hexdigest() for path, document in self.documents.items()
        }
        return documents | {path: sha256 for path, (sha256, _) in self.files.items()}


def check_submission(
    state: RepositoryState,
    submitted: Mapping[str, bytes],
    present: Present,
    now: datetime,
    *,
    known: Mapping[str, str],
) -> Admission:
    """Return what *submitted* changes in *state*, every rule checked.

    Args:
        state: The newest signed state; without metadata before the first submission.
        submitted: Raw signed bytes by role: root, targets, policy, releases.
        present: Whether a file is in place.
        now: UTC.
        known: sha256 by path of every file that a release ever named, pruned ones
            included: those never change.

    Raises:
        StaleBaseError: It was built upon an older state; it bears the current versions.
        SubmissionError: It breaks a rule, which ``code`` names.
    """
    try:
        # 1. Only roles that are signed offline; what is admitted already is passed over.
        changed = _changed(state, submitted)
        if not changed:
            return Admission()
        # 2. Strictly parsed, 3. the next version, 4. not expired.
        parsed = {role: _parsed(role, data) for role, data in changed.items()}
        _check_versions(state, parsed)
        _check_expiry(parsed, now)
        # 5. Signed, from the root down, with keys where they belong; also what did not
        #    change must still verify under new delegations.
        trusted = _walk(state, changed, now)
        # 6. What the changed roles say, and 7. that no release changes.
        contents = {
            role: contents_of(state.app, name, signed)
            for role, signed in parsed.items()
            if isinstance(signed, Targets) and (name := parse_role(role)) is not None
        }
        _check_policies(state, contents, trusted, now)
        base = {role: role_contents(state, role) for role in contents}
        _check_releases(contents, now)
        _check_immutable(contents, base, known)
        _check_spelling(contents, known)
    except TrustError as error:
        raise _refused(error) from error
    # 8. Every new file is in place.
    admission = _admission(changed, contents, base)
    for path, (sha256, length_bytes) in admission.files.items():
        if not present(path, sha256, length_bytes):
            raise SubmissionError("missing_file", "it is not in place", path=path)
    return admission


# --- 1 to 4 ------------------------------------------------------------------------------


def _changed(state: RepositoryState, submitted: Mapping[str, bytes]) -> dict[str, bytes]:
    if not submitted:
        raise SubmissionError("bad_document", "there is nothing in it")
    for role in submitted:
        name = parse_role(role)
        if name is None or name.kind.online:
            raise SubmissionError("path_scope", "it is no role to submit", role=role[:80])
    # Sent again after a lost answer: the same bytes, so there is nothing to do.
    return {role: data for role, data in submitted.items() if state.metadata.get(role) != data}


def _parsed(role: str, data: bytes) -> Root | Targets:
    return parse_root(data).signed if role == ROOT else parse_targets(role, data).signed


def _check_versions(state: RepositoryState, parsed: Mapping[str, Root | Targets]) -> None:
    for role, signed in parsed.items():
        expected = state.next_version(role)
        if signed.version < expected:
            raise StaleBaseError(role, state.versions)
        if signed.version > expected:
            detail = f"version {signed.version} skips {expected}"
            raise SubmissionError("bad_version", detail, role=role)


def _check_expiry(parsed: Mapping[str, Root | Targets], now: datetime) -> None:
    for role, signed in parsed.items():
        if signed.is_expired(now):
            raise SubmissionError("expired", f"it expired at {signed.expires}", role=role)


# --- 5 -----------------------------------------------------------------------------------


def _walk(state: RepositoryState, changed: Mapping[str, bytes], now: datetime) -> Trusted:
    previous = None
    if ROOT in changed and ROOT in state.metadata:
        previous = parse_root(state.metadata[ROOT]).signed
    trusted = walk(state.app, {**state.metadata, **changed}, previous)
    for signed, role in ((trusted.root, ROOT), (trusted.targets, RoleKind.TARGETS)):
        if signed.is_expired(now):  # not submitted, so the old one: to be renewed first
            raise SubmissionError("expired", f"it expired at {signed.expires}", role=role)
    for role in changed:
        if role not in (ROOT, RoleKind.TARGETS) and role not in trusted.roles:
            raise SubmissionError("unsigned", "targets does not delegate to it", role=role)
    # Rollout roles are the server's own: it signs them again under new delegations.
    trusted.require(name for name, role in trusted.roles.items() if not role.kind.online)
    return trusted


# --- 6, 7 --------------------------------------------------------------------------------


def _check_policies(
    state: RepositoryState,
    contents: Mapping[str, RoleContents],
    trusted: Trusted,
    now: datetime,
) -> None:
    # Also when only targets changed: a channel without a policy must not come to be.
    policies = contents.get(POLICY) or contents_of(
        state.app, RoleName(kind=RoleKind.POLICY), trusted.delegated[POLICY]
    )
    if set(policies.documents) != policy_paths(state.app, trusted):
        raise SubmissionError("bad_document", "not one policy for each channel", role=POLICY)
    if POLICY in contents:
        for policy in policies.policies.values():
            _check_instant(policy.issued, now, POLICY, "issued")


def _check_releases(contents: Mapping[str, RoleContents], now: datetime) -> None:
    for role, content in contents.items():
        for release in content.releases.values():
            _check_instant(release.released_at, now, role, "released_at")


def _check_instant(instant: datetime, now: datetime, role: str, name: str) -> None:
    if instant > now + CLOCK_SKEW:
        raise SubmissionError("bad_document", f"{name} {instant} is in the future", role=role)


def _check_immutable(
    contents: Mapping[str, RoleContents],
    base: Mapping[str, RoleContents],
    known: Mapping[str, str],
) -> None:
    for role, content in contents.items():
        if not content.releases:
            continue
        before = base[role]
        for version in content.releases.keys() & before.releases.keys():
            if _folder(content, version) != _folder(before, version):
                detail = f"release {version} is there already, and differs"
                raise SubmissionError("not_immutable", detail, role=role)
        for path, file in content.files.items():
            if known.get(path, file.sha256) != file.sha256:
                detail = "a file of this name was released before, and differs"
                raise SubmissionError("not_immutable", detail, role=role, path=path)


def _check_spelling(contents: Mapping[str, RoleContents], known: Mapping[str, str]) -> None:
    """Return if no version of a channel is there twice, spelled 2.0 and 2.0.0.

    They are equal, hence one release; but each has a path of its own, so neither would stand
    in the way of the other once that has left the metadata.
    """
    spelled: dict[tuple[str, Version], str] = {}
    submitted = [(role, path) for role, content in contents.items() for path in content.files]
    for role, path in [*(("", path) for path in known), *submitted]:
        match path.split("/"):
            case [_, "releases", channel, _, text, _]:
                other = spelled.setdefault((channel, Version(text)), text)
                if role and other != text:
                    detail = f"version {text} was released as {other}: the two are equal"
                    raise SubmissionError("not_immutable", detail, role=role, path=path)


def _folder(content: RoleContents, version: object) -> dict[str, SignedFile]:
    return {
        path: file for path, file in content.files.items() if path.split("/")[-2] == str(version)
    }


# --- the outcome -------------------------------------------------------------------------


def _admission(
    changed: Mapping[str, bytes],
    contents: Mapping[str, RoleContents],
    base: Mapping[str, RoleContents],
) -> Admission:
    releases: list[Release] = []
    policies: list[Policy] = []
    documents: dict[str, bytes] = {}
    files: dict[str, tuple[str, int]] = {}
    for role, content in contents.items():
        before = base[role]
        new = {path: file for path, file in content.files.items() if before.files.get(path) != file}
        releases += [
            release
            for version, release in content.releases.items()
            if version not in before.releases
        ]
        policies += content.policies.values()
        documents |= {path: content.documents[path] for path in new if path in content.documents}
        files |= {
            path: (file.sha256, file.length_bytes)
            for path, file in new.items()
            if path not in content.documents
        }
    return Admission(
        changed=changed,
        releases=tuple(releases),
        policies=tuple(policies),
        documents=documents,
        files=files,
    )


def _refused(error: TrustError) -> SubmissionError:
    code = error.code if error.code not in {"length_mismatch", "hash_mismatch"} else "bad_document"
    where = "role" if parse_role(error.subject) else "path"
    return SubmissionError(code, error.detail, **{where: error.subject})
