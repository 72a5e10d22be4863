"""Secrets in files: read when needed, and never told in an error."""

from __future__ import annotations

from pathlib import Path

from update_server.service.ports.outbox import UndeliveredError


def read_secret(path: Path) -> str:
    """Return the text in *path*, without white space around it.

    Raises:
        UndeliveredError: It cannot be read, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UndeliveredError(f"{path.name} cannot be read: {why}") from error
    if not text:
        raise UndeliveredError(f"{path.name} is empty")
    return text
