"""The folder that spools lie in."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIX = ".spool"


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
