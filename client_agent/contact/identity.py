"""Who this install is: a random ID drawn at the first run, never by an installer or an image.

A copy of the folder on another machine is another install. It is found out by the machine's own
ID, of which only a digest is kept and nothing is ever sent; a copy draws a new ID and forgets
what belonged to the old one. Nothing that a server says can make an agent draw again: it could
draw until the bucket suits somebody.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from client_agent.chance import Chance
from client_agent.errors import Code, DiskError
from client_agent.platforms.port import Platform
from rollout.errors import BadNameError, DocumentError
from rollout.model import InstallId
from rollout.names import check_group, check_install_id
from rollout.strict_json import parse_strict

FILE_NAME = "identity.json"
DRAWN_BY = "serinus-1"
MAX_ENROLMENTS = 16
_MAX_BYTES = 64 * 1024
_MAX_CREDENTIAL_CHARACTERS = 128
_MACHINE_DIGITS = 16
LOST = "lost"  # why: there is no ID, or none that can be read

Forget = Callable[[str], None]
"""Drops what belongs to an install that this is no more; takes why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Membership of a group. ``credential`` is secret: it goes to the app's server only."""

    group: str
    credential: str

    def __repr__(self) -> str:
        return f"Enrolment(group={self.group!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What this install is known by. ``machine`` is empty where the machine has no ID."""

    install_id: InstallId
    machine: str
    created: str
    enrolments: tuple[Enrolment, ...] = ()
    volatile: bool = False

    @property
    def groups(self) -> frozenset[str]:
        """The groups that this install was enrolled in."""
        return frozenset(enrolment.group for enrolment in self.enrolments)


class Identities:
    """``identity.json`` in ROOT."""

    def __init__(self, root: Path, platform: Platform, chance: Chance) -> None:
        self._path = root / FILE_NAME
        self._platform = platform
        self._chance = chance

    def load(self, now: datetime, forget: Forget) -> Identity:
        """Return the identity of this install; draw and store one where there is none.

        *forget* is called before another ID than the last one's is stored: stopped in between,
        the next start does both again, and nothing of the old install goes out as the new one.

        Raises:
            DiskError: It cannot be read or stored.
        """
        found = self._read()
        if found is None:
            forget(LOST)
            self._discard_unreadable()
            return self._create(self.draw(now))
        if self._is_clone(found):
            forget("cloned")
            fresh = self.draw(now)
            self.store(fresh)
            return fresh
        return found

    def stored(self) -> Identity | None:
        """Return what is stored now, if that can be read: another process may have changed it."""
        try:
            return self._read()
        except DiskError:
            return None

    def draw(self, now: datetime, *, volatile: bool = False) -> Identity:
        """Return a new identity, stored nowhere."""
        install_id = InstallId(self._chance.new_id())
        # Asking the machine takes a program on some systems, and tells copies of files apart.
        machine_id = None if volatile else self._platform.machine_id()
        return Identity(
            install_id=install_id,
            machine=machine_digest(install_id, machine_id),
            created=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            volatile=volatile,
        )

    def enrol(self, identity: Identity, enrolment: Enrolment) -> Identity:
        """Return *identity* as a member of one group more; stored unless volatile."""
        others = [old for old in identity.enrolments if old.group != enrolment.group]
        kept = (*others, enrolment)[-MAX_ENROLMENTS:]
        changed = replace(identity, enrolments=kept)
        if not changed.volatile:
            self.store(changed)
        return changed

    def store(self, identity: Identity) -> None:
        """Put *identity* in the place of what is stored, durably.

        Raises:
            DiskError: It cannot be written; what was stored still is.
        """
        new = self._path.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            self._write(new, identity)
            self._platform.replace(new, self._path)
        except OSError as error:
            raise DiskError(Code.IO, f"{FILE_NAME}: {error.strerror}") from error

    def _create(self, identity: Identity) -> Identity:
        """Store the first identity. When another process was first, return that one."""
        new = self._path.with_name(f"{FILE_NAME}.{identity.install_id}")
        try:
            self._write(new, identity)
            try:
                os.link(new, self._path)
                self._platform.sync_dir(self._path.parent)
            except FileExistsError:
                return self._read() or identity
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(Code.IO, f"{FILE_NAME}: {error.strerror}") from error
        return identity

    def _write(self, path: Path, identity: Identity) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(_render(identity))
            file.flush()
            self._platform.sync_file(file.fileno())

    def _read(self) -> Identity | None:
        """Return what is stored, or None when there is nothing that can be understood."""
        try:
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
            with open(os.open(self._path, flags), "rb") as file:  # noqa: PTH123
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(Code.IO, f"{FILE_NAME}: {error.strerror}") from error
        try:
            return _parse(data)
        except (DocumentError, BadNameError, KeyError, TypeError):
            return None

    def _discard_unreadable(self) -> None:
        """Move a torn file aside, so that a new identity can take its place."""
        try:
            self._path.replace(self._path.with_suffix(".bad"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise DiskError(Code.IO, f"{FILE_NAME}: {error.strerror}") from error

    def _is_clone(self, identity: Identity) -> bool:
        machine_id = self._platform.machine_id()
        # What is missing proves nothing: a container may have no ID today and one tomorrow.
        if not machine_id or not identity.machine:
            return False
        return identity.machine != machine_digest(identity.install_id, machine_id)


def machine_digest(install_id: str, machine_id: str | None) -> str:
    """Return what tells this machine from its copies; useless to whoever lacks the ID."""
    if not machine_id:
        return ""
    digest = hashlib.sha256(f"{install_id}{machine_id}".encode())
    return digest.hexdigest()[:_MACHINE_DIGITS]


def parse_enrolment(value: Any) -> Enrolment:
    """Return the enrolment in an answer or in the file.

    Raises:
        DocumentError, BadNameError: It is none.
    """
    if not isinstance(value, dict):
        raise DocumentError("no enrolment")
    group, credential = value.get("group"), value.get("credential")
    if not isinstance(group, str) or not isinstance(credential, str):
        raise DocumentError("no group or no credential")
    # It becomes part of a header.
    if not credential.isascii() or not credential.isprintable() or " " in credential:
        raise DocumentError("no credential")
    if not 0 < len(credential) <= _MAX_CREDENTIAL_CHARACTERS:
        raise DocumentError("no credential")
    return Enrolment(group=check_group(group), credential=credential)


def _render(identity: Identity) -> bytes:
    document = {
        "install_id": identity.install_id,
        "machine": identity.machine,
        "created": identity.created,
        "drawn_by": DRAWN_BY,
        "enrolments": [
            {"group": one.group, "credential": one.credential} for one in identity.enrolments
        ],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _parse(data: bytes) -> Identity:
    document = parse_strict(data, max_bytes=_MAX_BYTES)
    machine, created = document["machine"], document["created"]
    if not isinstance(machine, str) or not isinstance(created, str):
        raise DocumentError("no machine or no date")
    return Identity(
        install_id=check_install_id(document["install_id"]),
        machine=machine,
        created=created,
        enrolments=tuple(parse_enrolment(one) for one in document["enrolments"]),
    )
