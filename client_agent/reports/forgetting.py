"""Wishes to be forgotten, kept until the server has granted them.

``ROOT/forget.json`` holds what the server needs to delete what it knows of an install: the ID and
a token, of this install or of one that it was before. They are asked for again at every visit.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from client_agent.disk.os_errors import disk_error, disk_errors
from client_agent.network.transport import Transport
from client_agent.platforms import Platform
from client_agent.reports.sender import Sender
from rollout.errors import DocumentError
from rollout.strict_json import parse_strict

FILE_NAME = "forget.json"
MAX_WISHES = 16
_MAX_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to forget."""

    install_id: str
    token: str


class Forgetting:
    """The wishes of one ROOT."""

    def __init__(self, root: Path, platform: Platform) -> None:
        self._path = root / FILE_NAME
        self._platform = platform

    def wish(self, install_id: str, token: str) -> None:
        """Remember to ask for it.

        Raises:
            DiskError: It could not be written down.
        """
        wishes = [*self.wishes(), Wish(install_id, token)]
        self._store(wishes[-MAX_WISHES:])

    def wishes(self) -> list[Wish]:
        """Return what was not granted yet.

        Raises:
            DiskError: There may be some that cannot be read now.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(error) from error
        try:
            said = parse_strict(data, max_bytes=_MAX_BYTES)
            return [Wish(str(one["install_id"]), str(one["token"])) for one in said["wishes"]]
        except (DocumentError, LookupError, TypeError):
            return []

    def deliver(self, sender: Sender, transport: Transport) -> None:
        """Ask for each, and drop what was granted.

        Raises:
            NetworkError, TrustError: One was not; it stays.
            DiskError: What was granted is asked for again.
        """
        for wish in self.wishes():
            if sender.forget(wish.install_id, wish.token, transport):
                # Meanwhile a command beside us may have wished for another.
                self._store([other for other in self.wishes() if other != wish])

    def _store(self, wishes: list[Wish]) -> None:
        with disk_errors():
            if not wishes:
                self._path.unlink(missing_ok=True)
                return
            said = {
                "wishes": [{"install_id": one.install_id, "token": one.token} for one in wishes]
            }
            new = self._path.with_suffix(".new")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                file.write(json.dumps(said).encode())
                file.flush()
                self._platform.sync_file(file.fileno())
            self._platform.replace(new, self._path)
