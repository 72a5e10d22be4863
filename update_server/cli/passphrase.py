"""The passphrase of the workspace's key files: asked once, never an argument."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from update_server.cli.console import Console
from update_server.cli.errors import CliError, UsageError

_FILE_VARIABLE = "SERINUS_PASSPHRASE_FILE"
_SHORTEST = 8


def known(console: Console) -> Callable[[str], bytes]:
    """Return what gives the passphrase of existing keys, asking a person at most once."""
    answers: list[bytes] = []

    def passphrase(prompt: str) -> bytes:
        if not answers:
            answers.append(_from_file() or console.secret(prompt))
        return answers[0]

    return passphrase


def new(console: Console) -> bytes:
    """Return a passphrase for new keys: from the file, or typed twice.

    Raises:
        CliError: It is too short, or the two differ.
    """
    from_file = _from_file()
    chosen = from_file or console.secret("new passphrase for your signing keys")
    if len(chosen) < _SHORTEST:
        raise CliError("weak_passphrase", f"a passphrase has at least {_SHORTEST} characters")
    if from_file is None and console.secret("the same again") != chosen:
        raise CliError("not_confirmed", "the two differ; nothing was made")
    return chosen


def _from_file() -> bytes | None:
    named = os.environ.get(_FILE_VARIABLE)
    if not named:
        return None
    try:
        return Path(named).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise UsageError("no_passphrase", f"{_FILE_VARIABLE}={named}: {error.strerror}") from error
