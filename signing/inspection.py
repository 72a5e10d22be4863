"""Check a published repository from outside, as an agent would, and tell what was found.

What agents need to trust anything at all (root, timestamp, snapshot, targets) raises when
it fails; behind that, each failure is a finding, so that one expired channel does not hide
the state of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from tuf.api.metadata import Root, Signed, Snapshot

from signing.chain import (
    check_listed,
    delegations_of,
    verify_leaf,
    verify_root,
    verify_snapshot,
    verify_targets,
    verify_timestamp,
)
from signing.contents import RoleContents, contents_of
from signing.errors import TrustError
from signing.metadata import max_bytes_of
from signing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from signing.verify import SignedFile, verify_bytes

Fetch = Callable[[str, int], bytes | None]
"""(path below the app's folder, most bytes to read): the file; None when it is not there."""

Open = Callable[[str], BinaryIO | None]
"""(path below the app's folder): a seekable handle; None when it is not there."""

MAX_ROOTS = 256  # as many as tuf.ngclient walks at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an agent would refuse. ``subject`` names the role or the path."""

    subject: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReport:
    """What was found, by role. ``files`` counts the files whose bytes were read."""

    versions: Mapping[str, int]
    expires: Mapping[str, datetime]
    contents: Mapping[str, RoleContents]
    files: int
    findings: tuple[Finding, ...]


def verify_repository(
    app: str, root: bytes, fetch: Fetch, now: datetime, *, open_file: Open | None = None
) -> RepositoryReport:
    """Walk the repository of *app* from a trusted *root*, every delegated role included.

    Args:
        app: Whose repository it is.
        root: Any root of the chain that is trusted, even an expired one.
        fetch: Reads metadata.
        now: UTC.
        open_file: Reads what the roles name, documents and artifacts; None to leave it.

    Raises:
        TrustError: Root, timestamp, snapshot or targets cannot be trusted.
    """
    # TUF 5.3: root by root; only the last one must not have expired.
    newest = _walk_roots(root, fetch)
    parts: dict[str, Signed] = {ROOT: newest}
    _check_expiry(ROOT, newest, now)
    # 5.4 and 5.5: the timestamp names one snapshot, by hash.
    timestamp = verify_timestamp(newest, _fetched(fetch, TIMESTAMP, None))
    parts[TIMESTAMP] = timestamp
    _check_expiry(TIMESTAMP, timestamp, now)
    data = _fetched(fetch, SNAPSHOT, timestamp.snapshot_meta.version)
    snapshot = verify_snapshot(newest, timestamp, data)
    parts[SNAPSHOT] = snapshot
    _check_expiry(SNAPSHOT, snapshot, now)
    # 5.6: targets, and what it delegates to.
    targets = verify_targets(newest, _fetched(fetch, TARGETS, _listed(snapshot, TARGETS)))
    parts[TARGETS] = targets
    check_listed(snapshot, TARGETS, targets.version)
    _check_expiry(TARGETS, targets, now)
    contents: dict[str, RoleContents] = {}
    findings: list[Finding] = []
    for name, role in delegations_of(app, targets).items():
        try:
            leaf = verify_leaf(targets, name, _fetched(fetch, name, _listed(snapshot, name)))
            check_listed(snapshot, name, leaf.version)
            parts[name] = leaf
            _check_expiry(name, leaf, now)
            contents[name] = contents_of(app, role, leaf)
        except TrustError as error:
            findings.append(_finding(error))
    files = [file for content in contents.values() for file in content.files.values()]
    if open_file is not None:
        findings += _check_files(files, open_file)
    return RepositoryReport(
        versions={name: part.version for name, part in parts.items()},
        expires={name: part.expires for name, part in parts.items()},
        contents=contents,
        files=len(files) if open_file is not None else 0,
        findings=tuple(findings),
    )


def _walk_roots(root: bytes, fetch: Fetch) -> Root:
    newest = verify_root(root, None)
    for _ in range(MAX_ROOTS):
        data = fetch(f"tuf/{newest.version + 1}.{ROOT}.json", max_bytes_of(ROOT))
        if data is None:
            break
        newest = verify_root(data, newest)
    return newest


def _fetched(fetch: Fetch, role: str, version: int | None) -> bytes:
    path = f"tuf/{role}.json" if version is None else f"tuf/{version}.{role}.json"
    data = fetch(path, max_bytes_of(role))
    if data is None:
        raise TrustError("missing_file", path, "it is not there")
    return data


def _listed(snapshot: Snapshot, role: str) -> int:
    if (listed := snapshot.meta.get(f"{role}.json")) is None:
        raise TrustError("bad_version", role, "the snapshot does not list it")
    return listed.version


def _check_expiry(role: str, signed: Signed, now: datetime) -> None:
    if signed.is_expired(now):
        raise TrustError("expired", role, f"it expired at {signed.expires}")


def _check_files(files: list[SignedFile], open_file: Open) -> Iterator[Finding]:
    for file in files:
        handle = open_file(file.stored_path)
        if handle is None:
            yield Finding(subject=file.path, code="missing_file", detail="it is not there")
            continue
        with handle:
            try:
                verify_bytes(handle, file)
            except TrustError as error:
                yield _finding(error)


def _finding(error: TrustError) -> Finding:
    return Finding(subject=error.subject, code=error.code, detail=error.detail)
