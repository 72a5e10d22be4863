"""The bytes of one target that are here already, and the journal of where they came from.

What lies in the part is never believed: it is hashed from its first byte when it is opened. Where
the target has signed pieces, every whole piece is verified as it comes, and a wrong one costs only
itself; without them the target is one piece. The journal only spares a download: it may lag behind
the part and never leads, and nothing it says can make wrong bytes pass.

Not here: bringing bytes (``client_agent.network.download``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from client_agent.errors import Code, TrustError
from client_agent.machine.values import TargetInfo
from client_agent.platforms.port import Platform
from rollout.errors import DocumentError
from rollout.pieces import PIECE_BYTES
from rollout.strict_json import parse_strict

_CHUNK_BYTES = 64 * 1024
_MAX_ETAG_CHARACTERS = 256
_MAX_JOURNAL_BYTES = 4 * 1024


class _Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...

    def copy(self) -> Self: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose bytes the part holds, and by which entity tag: a strong one, or none."""

    base: str = ""
    etag: str = ""

    @classmethod
    def of(cls, base: str, etag: str) -> Origin:
        """Return the origin; a tag that cannot promise that bytes are the same is none."""
        is_strong = etag.startswith('"') and etag.isascii() and etag.isprintable()
        return cls(base, etag if is_strong and len(etag) <= _MAX_ETAG_CHARACTERS else "")


class PartFile:
    """One open part. ``count`` bytes of it are here, the first ``verified`` of them right.

    *pieces*: SHA-256 of each piece of the target, if that is known.
    """

    def __init__(
        self, folder: Path, target: TargetInfo, platform: Platform, pieces: Sequence[bytes] = ()
    ) -> None:
        self._path = path_of(folder, target)
        self._journal = journal_of(folder, target)
        self._platform = platform
        self._target = target
        self._pieces = pieces
        self._piece_bytes = PIECE_BYTES if pieces else target.length_bytes
        self._digest: _Digest = hashlib.sha256()
        self._piece: _Digest = hashlib.sha256()
        self._verified: tuple[int, _Digest] = (0, hashlib.sha256())
        self._synced = 0
        self.count = 0
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self.file: BinaryIO = os.fdopen(os.open(self._path, flags, 0o600), "r+b", buffering=0)
        try:
            self._read_back()
        except BaseException:
            self.file.close()
            raise

    @property
    def verified(self) -> int:
        """How many bytes from the first one are known to be right."""
        return self._verified[0]

    @property
    def is_clean(self) -> bool:
        """Whether everything that is here is known to be right."""
        return self.count == self.verified

    @property
    def is_whole(self) -> bool:
        """Whether this is the target, byte for byte."""
        whole = self.verified == self._target.length_bytes
        return whole and self._digest.digest().hex() == self._target.sha256

    @property
    def unsynced(self) -> int:
        """How many bytes the disk may not have yet."""
        return self.count - self._synced

    def add(self, data: bytes) -> None:
        """Append *data*.

        Raises:
            TrustError: The target does not have these bytes. All that is not known to be right is
                gone from the part.
        """
        if self.count + len(data) > self._target.length_bytes:  # length + 1 is enough to know
            self.back()
            raise TrustError(Code.LENGTH_MISMATCH, f"over {self._target.length_bytes} bytes")
        _write_all(self.file, data)
        self._hash(data)

    def back(self) -> None:
        """Give up what is not known to be right."""
        count, digest = self._verified
        self._cut(count)
        self._digest = digest.copy()

    def start_over(self) -> None:
        """Give up everything."""
        self._verified = (0, hashlib.sha256())
        self.back()
        self._journal.unlink(missing_ok=True)

    def origin(self) -> Origin:
        """Return what the journal says; nothing when it is torn."""
        try:
            with self._journal.open("rb") as file:
                said = parse_strict(file.read(_MAX_JOURNAL_BYTES + 1), max_bytes=_MAX_JOURNAL_BYTES)
        except (OSError, DocumentError):
            return Origin()
        base, etag = said.get("base"), said.get("etag")
        if not isinstance(base, str) or not isinstance(etag, str):
            return Origin()
        return Origin.of(base, etag)  # it becomes a header again

    def begin(self, origin: Origin) -> None:
        """Note whose bytes follow: so even the first of them need not come twice."""
        said = {"base": origin.base, "etag": origin.etag, "n": self._synced}
        new = self._journal.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(json.dumps(said).encode())
        new.replace(self._journal)

    def sync(self) -> None:
        """Bring the bytes to the disk."""
        self._platform.sync_file(self.file.fileno())
        self._synced = self.count

    def note(self, origin: Origin) -> None:
        """Bring the bytes to the disk, and only then say so in the journal."""
        self.sync()
        self.begin(origin)

    def _read_back(self) -> None:
        """Hash what lies here. More than the target's length is nobody's."""
        while chunk := self.file.read(_CHUNK_BYTES):
            if self.count + len(chunk) > self._target.length_bytes:
                return self.start_over()
            try:
                self._hash(chunk)
            except TrustError:
                return None  # it is cut to what is right, and that is where it goes on
        return None

    def _hash(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            taken = rest[: self._piece_bytes - (self.count - self.verified)]
            rest = rest[len(taken) :]
            self._digest.update(taken)
            if self._pieces:
                self._piece.update(taken)
            self.count += len(taken)
            whole = self.count == self._target.length_bytes
            if whole or self.count - self.verified == self._piece_bytes:
                self._verify()

    def _verify(self) -> None:
        """Compare the piece that just ended, and at the end the whole."""
        if self._pieces:
            expected = self._pieces[self.verified // PIECE_BYTES]
            if self._piece.digest() != expected:
                self.back()
                raise TrustError(Code.HASH_MISMATCH, self._target.path)
            self._piece = hashlib.sha256()
        self._verified = (self.count, self._digest.copy())
        if self.count == self._target.length_bytes and not self.is_whole:
            self.start_over()
            raise TrustError(Code.HASH_MISMATCH, self._target.path)

    def _cut(self, count: int) -> None:
        self.file.seek(count)
        self.file.truncate()
        self.count = count
        self._synced = min(self._synced, count)
        self._piece = hashlib.sha256()


def path_of(folder: Path, target: TargetInfo) -> Path:
    """Return where the part of *target* lies."""
    return folder / f"{target.sha256}.part"


def journal_of(folder: Path, target: TargetInfo) -> Path:
    """Return where the journal of *target* lies."""
    return folder / f"{target.sha256}.json"


def _write_all(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
