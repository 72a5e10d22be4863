"""Send a file to the server's blob store, from where an earlier try left off."""

from __future__ import annotations

from pathlib import Path

from update_server.cli.api import AdminApi, app_path
from update_server.cli.console import Console
from update_server.cli.errors import ProblemError

_PIECE_BYTES = 4 * 1024 * 1024  # what is sent again when a connection breaks


def upload(
    api: AdminApi, console: Console, app: str, path: Path, sha256: str, *, label: str
) -> None:
    """Upload *path*, whose digest is *sha256*, unless the server has it already.

    Raises:
        CliError: The server refused. What it has of the file it keeps for the next try.
    """
    where = app_path(app, "blobs", sha256)
    head = api.send("HEAD", where)
    total = path.stat().st_size
    if head.headers.get("upload-complete") == "?1":
        return
    offset = int(head.headers.get("upload-offset", "0"))
    with path.open("rb") as handle, console.progress(label, total) as advance:
        while True:
            advance(offset)
            handle.seek(offset)
            piece = handle.read(_PIECE_BYTES)
            headers = {
                "Upload-Offset": str(offset),
                "Upload-Length": str(total),
                "Content-Type": "application/octet-stream",
            }
            try:
                answer = api.send("PUT", where, headers, piece)
            except ProblemError as error:
                # Somebody else sends the same file: go on where it is now.
                if error.code != "offset_mismatch" or int(error.data["offset"]) <= offset:
                    raise
                offset = int(error.data["offset"])
                continue
            if answer.status == 201:  # noqa: PLR2004 - created: the file is complete
                return
            offset = int(answer.headers["upload-offset"])
