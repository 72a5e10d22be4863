"""Check a published repository from outside, over HTTP, as an agent would."""

from __future__ import annotations

import tempfile
from datetime import datetime
from typing import BinaryIO, cast

import urllib3

from signing.errors import SigningError
from signing.inspection import verify_repository
from update_server.cli.console import Console
from update_server.cli.errors import DONE, REFUSED, CliError

_READ_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_NONE = (403, 404)  # what a file server answers for a file that is not there


def verify_server(console: Console, root: bytes, url: str, now: datetime) -> int:
    """Verify everything below *url* (``https://host/v1/apps/APP``) from *root*, and tell.

    Returns:
        The exit code: refused when an agent would refuse anything.
    """
    base = url.rstrip("/")
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
        raise CliError(error.code, str(error)) from error
    console.document(
        {
            "ok": not report.findings,
            "files": report.files,
            "versions": dict(report.versions),
            "expires": {role: at.isoformat() for role, at in report.expires.items()},
            "findings": [
                {"subject": each.subject, "code": each.code, "detail": each.detail}
                for each in report.findings
            ],
        }
    )
    console.table(
        ("role", "version", "expires"),
        [(role, version, str(report.expires[role])) for role, version in report.versions.items()],
    )
    for each in report.findings:
        console.say(f"{each.subject}: {each.code}: {each.detail}")
    console.print(f"{report.files} files checked, {len(report.findings)} findings")
    return REFUSED if report.findings else DONE


def _download(console: Console, pool: urllib3.PoolManager, url: str) -> BinaryIO | None:
    handle = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        with pool.request("GET", url, preload_content=False) as response:
            if response.status in _NONE:
                return None
            if response.status != 200:  # noqa: PLR2004 - anything else is no file
                raise CliError("unexpected_answer", f"{url} answers {response.status}")
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            name = url.rpartition("/")[2]
            with console.progress(f"check {name}", total) as advance:
                for chunk in response.stream(_READ_BYTES):
                    handle.write(chunk)
                    advance(handle.tell())
    except urllib3.exceptions.HTTPError as error:
        raise CliError("unreachable", f"{url} cannot be read ({type(error).__name__})") from error
    handle.seek(0)
    return cast("BinaryIO", handle)
