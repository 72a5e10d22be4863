"""Find the bytes that agents fetch: metadata, and the files of releases.

Bytes under ``apps/`` are public: a dumb file server may carry them. Those of a release
that no general ring offers lie under ``private/`` and need a live enrolment credential.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from rollout.errors import BadNameError
from rollout.names import check_app
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.agents.table import AppTable, Held, KnownFile, Tables
from update_server.service.errors import (
    NoFileError,
    NoNextRootError,
    NotReadyError,
    PulledError,
    UnknownAppError,
)
from update_server.service.ports import Blobs, NotFoundError

_METADATA: Final = re.compile(r"(timestamp|[1-9][0-9]{0,9}\.[a-z0-9][a-z0-9._-]{0,199})\.json")
_NEXT_ROOT: Final = re.compile(r"[0-9]+\.root\.json")
_TARGET: Final = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._+-]{0,127}/){0,8}(?P<sha256>[0-9a-f]{64})\.[A-Za-z0-9._+-]{1,128}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A metadata file. ``immutable`` is true when its name bears its version."""

    data: bytes
    sha256: str
    immutable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that may be sent to the one who asks. ``key`` is its name in ``Blobs``."""

    key: str
    sha256: str
    length_bytes: int
    private: bool


class Files:
    """The file use-case of one process."""

    def __init__(self, tables: Tables, blobs: Blobs) -> None:
        self._tables = tables
        self._blobs = blobs

    def metadata(self, app: str, name: str) -> Metadata:
        """Return a TUF metadata file of *app*. It needs no database.

        Raises:
            UnknownAppError, NoFileError: There is none.
            NoNextRootError: It would be a root that is not there yet.
        """
        self._check_app(app)
        if not _METADATA.fullmatch(name):
            raise NoFileError
        try:
            data = self._blobs.read(f"apps/{app}/tuf/{name}")
        except NotFoundError as error:
            raise (NoNextRootError if _NEXT_ROOT.fullmatch(name) else NoFileError) from error
        return Metadata(
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            immutable=name != "timestamp.json",
        )

    def target(self, app: str, path: str, credential: str | None = None) -> FoundFile:
        """Return where the bytes of a file of *app* are, if they may be sent.

        *path* is below ``targets/``, with or without the hash before the name.

        Raises:
            NotReadyError: Nothing is known yet, or a credential cannot be checked now.
            UnknownAppError, NoFileError: There is none, or not for who asks.
            PulledError: Its release was pulled.
        """
        held = self._tables.of(app)
        known = held.table.files.get(path)
        if known is None:
            return self._document(app, path)
        key = f"apps/{app}/targets/{known.path}"
        private = not self._exists(key)
        if private:
            key = f"private/{app}/targets/{known.path}"
            self._check_credential(held, known, credential)
            if not self._exists(key):
                raise NoFileError
        # After the credential: an outsider must not learn of an internal release.
        if known.channel and known.version and (known.channel, known.version) in held.table.pulled:
            raise PulledError(str(known.version))
        return FoundFile(
            key=key, sha256=known.sha256, length_bytes=known.length_bytes, private=private
        )

    def open(self, found: FoundFile) -> BinaryIO:
        """Open *found* for reading. The caller closes it."""
        try:
            return self._blobs.open(found.key)
        except NotFoundError as error:
            raise NoFileError from error

    def _document(self, app: str, path: str) -> FoundFile:
        """Find a signed document. All of those are public, by their hashed name only."""
        match = _TARGET.fullmatch(path)
        if match is None:
            raise NoFileError
        key = f"apps/{app}/targets/{path}"
        try:
            length_bytes = self._blobs.size(key)
        except NotFoundError as error:
            raise NoFileError from error
        return FoundFile(key=key, sha256=match["sha256"], length_bytes=length_bytes, private=False)

    def _exists(self, key: str) -> bool:
        try:
            self._blobs.size(key)
        except NotFoundError:
            return False
        return True

    def _check_app(self, app: str) -> None:
        try:
            self._tables.of(app)
        except NotReadyError:
            # Signed metadata is enough to keep agents updating while the database is down.
            try:
                check_app(app)
            except BadNameError as error:
                raise UnknownAppError(app) from error

    def _check_credential(self, held: Held, file: KnownFile, credential: str | None) -> None:
        if not credential:
            raise NoFileError
        member = held.table.members.get(hash_of_secret(credential))
        if member is None or member.group not in _groups_for(held.table, file):
            raise NoFileError
        if not self._tables.is_live(held):
            # It may have been revoked meanwhile.
            raise NotReadyError


def _groups_for(table: AppTable, file: KnownFile) -> frozenset[str]:
    """Return the groups whose members may fetch *file* before a general ring offers it."""
    channel = table.by_channel.get(file.channel) if file.channel else None
    if channel is None:
        return frozenset()
    groups = set(channel.policy.internal_groups)
    for entry in channel.rollout.entries if channel.rollout else ():
        if entry.version == file.version:
            for ring in entry.rings:
                groups.update(ring.audience.groups or ())
    return frozenset(groups)
