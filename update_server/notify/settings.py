"""What is configured of a target: one table ``[[notify]]`` of ``serinus.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One target. Secrets are in files, which are read when they are needed and never kept.

    ``url`` is where to send to, or ``url_file`` the file with it: the addresses of chats are
    secrets in themselves. ``secret_files`` sign webhooks: one, or two while one follows the other.
    ``allow_private`` are names of hosts that may be private addresses, and need no TLS.
    ``sender``, ``recipients``, ``user`` and ``password_file`` are for mail.
    ``events``, ``apps`` and ``escalate_to`` say what it is told
    (``service.notices.deliver.Subscriber``).
    """

    name: str
    kind: str
    url: str = ""
    url_file: Path | None = None
    secret_files: tuple[Path, ...] = ()
    events: str = "all"
    apps: tuple[str, ...] = ()
    escalate_to: str = ""
    allow_private: tuple[str, ...] = ()
    sender: str = ""
    recipients: tuple[str, ...] = ()
    user: str = ""
    password_file: Path | None = None
