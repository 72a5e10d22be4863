"""The dumps in ``dumps/``, which Crashpad's handler wrote."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

NAMES: Final = (
    "read-2.3.9",
    "read-2.4.0",
    "read-2.4.0-without-frame-pointers",
    "call-2.4.0",
    "abort-2.4.0",
)


def real_dump(name: str) -> bytes:
    """Return the dump of a crash of ``dumps/notes.c``."""
    return gzip.decompress(
        Path(__file__).with_name("dumps").joinpath(f"{name}.dmp.gz").read_bytes()
    )
