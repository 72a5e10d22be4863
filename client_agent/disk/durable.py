"""Small files that must be whole whenever the power fails."""

from __future__ import annotations

import os
from pathlib import Path

from client_agent.disk.os_errors import disk_errors
from client_agent.platforms import Platform


def put(path: Path, data: bytes, platform: Platform) -> None:
    """Put *data* in the place of the file at *path*, for its owner's eyes only.

    Raises:
        DiskError: It could not be written; what was there still is.
    """
    new = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with disk_errors():
        with os.fdopen(os.open(new, flags | safe, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            platform.sync_file(file.fileno())
        platform.replace(new, path)
