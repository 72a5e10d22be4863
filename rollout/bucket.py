"""The bucket of an install for one release (docs/trust.md, 4).

The salt is drawn when the release is signed: nobody can know a bucket before publication,
each release draws afresh, and a thief of online keys cannot choose who goes first.
"""

from __future__ import annotations

import hashlib

BUCKETS = 10_000

_SEPARATOR = b"\x7c"


def bucket_of(salt: bytes, install_id: str) -> int:
    """Return the bucket, 0..9,999, of *install_id* (ASCII) for a release's raw 32-byte *salt*.

    It is floor(x * 10000 / 2^64) where x is the first 8 bytes, big-endian, of
    SHA-256(salt, 0x7C, install ID). The multiplication leaves no modulo bias worth a name:
    buckets differ by at most 1 in 2^50.
    """
    digest = hashlib.sha256(salt + _SEPARATOR + install_id.encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") * BUCKETS >> 64
