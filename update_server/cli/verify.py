"""Check a published repository from outside, over HTTP, as an agent would."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import urllib3

from rollout.audience import is_general
from rollout.model import RolloutState
from signing.chain import verify_root
from signing.errors import SigningError
from signing.inspection import Finding, RepositoryReport, verify_repository
from update_server.cli.connection import why_failed
from update_server.cli.console import Console
from update_server.cli.errors import DONE, REFUSED, CliError

_READ_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_NONE = (403, 404, 410)  # what servers answer for a file that is not there


def verify_server(console: Console, root_file: Path, url: str, now: datetime) -> int:
    """Verify everything below *url* (``https://host/v1/apps/APP``) from a root, and tell.

    Returns:
        The exit code: refused when an agent would refuse anything.
    """
    base, root = url.rstrip("/"), root_file.read_bytes()
    try:
        verify_root(root, None)
    except SigningError as error:
        raise CliError(error.code, f"{root_file} is no root of an app: {error}") from error
    pool = urllib3.PoolManager(retries=False)

    def open_file(path: str) -> BinaryIO | None:
        return _download(console, pool, f"{base}/{path}")

    def fetch(path: str, most: int) -> bytes | None:
        handle = open_file(path)
        if handle is None:
            return None
        with handle:
            return handle.read(most + 1)

    try:
        report = verify_repository(base.rpartition("/")[2], root, fetch, now, open_file=open_file)
    except SigningError as error:
        missing = error.code == "missing_file"
        told = "holds no repository" if missing else f"is not what {root_file} trusts"
        raise CliError(error.code, f"{base} {told}: {error}") from error
    findings, private = _sorted(report)
    console.document(
        {
            "ok": not findings,
            "private": private,
            "files": report.files,
            "versions": dict(report.versions),
            "expires": {role: at.isoformat() for role, at in report.expires.items()},
            "findings": [
                {"subject": each.subject, "code": each.code, "detail": each.detail}
                for each in findings
            ],
        }
    )
    console.table(
        ("role", "version", "expires"),
        [(role, version, str(report.expires[role])) for role, version in report.versions.items()],
    )
    for path in private:
        console.say(f"{path}: not public; it was not checked")
    for each in findings:
        console.say(f"{each.subject}: {each.code}: {each.detail}")
    console.print(f"{report.files} files checked, {len(findings)} findings")
    return REFUSED if findings else DONE


def _sorted(report: RepositoryReport) -> tuple[list[Finding], list[str]]:
    """Return what is wrong, and the paths of artifacts that need not be public.

    Until a ring for everybody is open, only a group may have a release's artifact, and a
    server answers others as if it were not there. Nobody may have a pulled one.
    """
    private = _private(report)
    missing = [each for each in report.findings if each.code == "missing_file"]
    expected = [each.subject for each in missing if each.subject in private]
    return [each for each in report.findings if each.subject not in expected], expected


def _private(report: RepositoryReport) -> frozenset[str]:
    """Return the artifacts that no signed rollout offers to everybody."""
    public = {
        (rollout.app, rollout.channel, entry.version)
        for contents in report.contents.values()
        for rollout in contents.rollouts.values()
        for entry in rollout.entries
        if entry.state is not RolloutState.PULLED
        and (entry.rollback or any(is_general(ring) for ring in entry.rings))
    }
    return frozenset(
        release.artifact.path
        for contents in report.contents.values()
        for release in contents.releases.values()
        if (release.app, release.channel, release.version) not in public
    )


def _download(console: Console, pool: urllib3.PoolManager, url: str) -> BinaryIO | None:
    """Return the file at *url*, open at its start; None where there is none."""
    with contextlib.ExitStack() as unless_done:
        handle = unless_done.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))
        try:
            with pool.request("GET", url, preload_content=False) as response:
                if response.status in _NONE:
                    return None
                if response.status != 200:  # noqa: PLR2004 - anything else is no file
                    raise CliError("unexpected_answer", f"{url} answers {response.status}")
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdecimal() else None
                with console.progress(f"check {url.rpartition('/')[2]}", total) as advance:
                    for chunk in response.stream(_READ_BYTES):
                        handle.write(chunk)
                        advance(handle.tell())
        except urllib3.exceptions.HTTPError as error:
            raise CliError("unreachable", f"{url} {why_failed(error)}") from error
        handle.seek(0)
        unless_done.pop_all()
        return cast("BinaryIO", handle)
