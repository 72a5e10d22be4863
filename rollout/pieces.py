"""Hashes of the pieces of a large file, which are a file of their own beside it.

PURE. Signed like the large file, they let a download notice a bad mirror after a piece instead
of at the end, and go on from another. The file of pieces is their SHA-256 digests, 32 bytes each,
one after the other; the last piece is shorter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

PIECE_BYTES = 4 * 1024**2
PIECES_ABOVE_BYTES = 16 * 1024**2
"""Files up to this size have no pieces: fetching them again costs little."""

PIECES_SUFFIX = ".pieces"
DIGEST_BYTES = 32


def pieces_path(path: str) -> str:
    """Return where the pieces of the file at *path* are."""
    return f"{path}{PIECES_SUFFIX}"


def pieces_length(length_bytes: int) -> int:
    """Return how long the pieces of a file of *length_bytes* are."""
    return -(-length_bytes // PIECE_BYTES) * DIGEST_BYTES


def render_pieces(chunks: Iterable[bytes]) -> bytes:
    """Return the pieces of the file that *chunks* are, in order, each of any size."""
    found = bytearray()
    digest, left = hashlib.sha256(), PIECE_BYTES
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            taken = rest[:left]
            digest.update(taken)
            left -= len(taken)
            rest = rest[len(taken) :]
            if not left:
                found += digest.digest()
                digest, left = hashlib.sha256(), PIECE_BYTES
    if left < PIECE_BYTES:
        found += digest.digest()
    return bytes(found)


def split_pieces(pieces: bytes) -> tuple[bytes, ...]:
    """Return the digests that a file of pieces holds."""
    return tuple(pieces[at : at + DIGEST_BYTES] for at in range(0, len(pieces), DIGEST_BYTES))
