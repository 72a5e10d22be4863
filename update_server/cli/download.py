"""Fetch a file from the server's blob store, piece by piece, and know that it is the right one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from update_server.cli.api import AdminApi, app_path
from update_server.cli.console import Console
from update_server.cli.errors import CliError

_PIECE_BYTES = 4 * 1024 * 1024


def download(
    api: AdminApi,
    console: Console,
    app: str,
    path: Path,
    *,
    sha256: str,
    length_bytes: int,
    label: str,
) -> None:
    """Write the file whose digest is *sha256* to the new file *path*.

    Raises:
        CliError: The server does not have it, or sends something else.
    """
    where = app_path(app, "blobs", sha256)
    digest = hashlib.sha256()
    with path.open("xb") as out, console.progress(label, length_bytes) as advance:
        for at in range(0, length_bytes, _PIECE_BYTES):
            size = min(_PIECE_BYTES, length_bytes - at)
            answer = api.send("GET", where, {"Range": f"bytes={at}-{at + size - 1}"})
            if len(answer.body) != size:
                raise CliError("unexpected_answer", f"the server sends {len(answer.body)} bytes")
            digest.update(answer.body)
            out.write(answer.body)
            advance(at + size)
    if digest.hexdigest() != sha256:
        raise CliError("hash_mismatch", "the server sends other bytes than were signed")
