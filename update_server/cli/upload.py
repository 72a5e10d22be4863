"""Send a file to the server's blob store, from where an earlier try left off."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from update_server.cli.api import AdminApi, app_path
from update_server.cli.console import Advance, Console
from update_server.cli.errors import CliError, ProblemError
from update_server.clock import SystemClock

_PIECE_BYTES = 4 * 1024 * 1024  # what is sent again when a connection breaks
_PASSING = ("unreachable", "unavailable", "busy")  # the last: somebody else sends it too
_BREAKS = 3  # in a row, without a byte that came through
_PAUSE_SECONDS = 1.0


def upload(
    api: AdminApi, console: Console, app: str, path: Path, sha256: str, *, label: str
) -> None:
    """Upload *path*, whose digest is *sha256*, unless the server has it already.

    Raises:
        CliError: The server refused, or could not be reached for some time. What it has of
            the file it keeps for the next try.
    """
    where = app_path(app, "blobs", sha256)
    offset = _kept(api, where)
    if offset is None:
        return
    total, breaks = path.stat().st_size, 0
    with path.open("rb") as handle, console.progress(label, total) as advance:
        while offset is not None:
            before = offset
            try:
                offset = _send_piece(api, where, handle, offset, total, advance)
            except CliError as error:
                if error.code not in _PASSING or breaks == _BREAKS:
                    raise
                breaks += 1
                SystemClock().sleep(_PAUSE_SECONDS)
                offset = _kept(api, where)
                breaks = breaks if offset == before else 1


def _kept(api: AdminApi, where: str) -> int | None:
    """Return how many bytes the server has; None when it has all."""
    head = api.send("HEAD", where)
    if head.headers.get("upload-complete") == "?1":
        return None
    return int(head.headers.get("upload-offset", "0"))


def _send_piece(
    api: AdminApi, where: str, handle: BinaryIO, offset: int, total: int, advance: Advance
) -> int | None:
    """Send one piece; return where the next one begins, None when all was sent."""
    advance(offset)
    handle.seek(offset)
    headers = {
        "Upload-Offset": str(offset),
        "Upload-Length": str(total),
        "Content-Type": "application/octet-stream",
    }
    try:
        answer = api.send("PUT", where, headers, handle.read(_PIECE_BYTES))
    except ProblemError as error:
        # Somebody else sends the same file: go on where it is now.
        if error.code != "offset_mismatch" or int(error.data["offset"]) <= offset:
            raise
        return int(error.data["offset"])
    if answer.status == 201:  # noqa: PLR2004 - created: the file is complete
        return None
    return int(answer.headers["upload-offset"])
