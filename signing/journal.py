"""A journal: every file of one publication, with its bytes, in the order of writing.

It is stored before the first write, so that a crash at any byte can be replayed from the
start. The order is what keeps agents whole: whatever a file names is written before it,
and ``timestamp.json``, which makes the rest visible, last.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.errors import RolloutError
from rollout.names import check_app
from signing.errors import BadJournalError

TIMESTAMP_PATH = "tuf/timestamp.json"

_SCHEMA = 1
# Relative, no empty, hidden or parent segments: what publishing may write, and nothing else.
_PATH = re.compile(
    r"tuf/[1-9][0-9]*\.[a-z][a-z0-9._-]*\.json"
    r"|targets(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)+/[0-9a-f]{64}\.[A-Za-z0-9][A-Za-z0-9._+-]*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One file. ``path`` is relative to the app's folder.

    ``swap`` replaces what is there (the timestamp alone); all others are create-only.
    """

    path: str
    data: bytes
    swap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The writes of one signed state, timestamp last."""

    app: str
    timestamp_version: int
    writes: tuple[Write, ...]


def dump_journal(journal: Journal) -> bytes:
    """Return *journal* as bytes to store."""
    writes = [
        {
            "path": write.path,
            "data": base64.b64encode(write.data).decode("ascii"),
            "swap": write.swap,
        }
        for write in journal.writes
    ]
    value = {
        "schema": _SCHEMA,
        "app": journal.app,
        "timestamp_version": journal.timestamp_version,
        "writes": writes,
    }
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode("ascii")


def load_journal(data: bytes) -> Journal:
    """Return the journal in *data*.

    Raises:
        BadJournalError: It is none, names a path outside its folders, or its timestamp is
            not the one swap, and the last write.
    """
    try:
        value = json.loads(data)
        journal = Journal(
            app=check_app(value["app"]),
            timestamp_version=_integer(value["timestamp_version"]),
            writes=tuple(_write(item) for item in value["writes"]),
        )
    except (KeyError, TypeError, ValueError, RolloutError, binascii.Error) as error:
        raise BadJournalError(f"no journal: {error}") from error
    if value.get("schema") != _SCHEMA:
        raise BadJournalError("the journal is of another schema")
    swaps = [write.path for write in journal.writes if write.swap]
    if swaps != [TIMESTAMP_PATH] or not journal.writes[-1].swap:
        raise BadJournalError("the timestamp is not the last write")
    return journal


def _write(item: Mapping[str, Any]) -> Write:
    path, swap = item["path"], item["swap"]
    if not isinstance(swap, bool):
        raise TypeError("swap is no boolean")
    if not (path == TIMESTAMP_PATH if swap else _PATH.fullmatch(path)):
        raise ValueError(f"the path {path!r} is not ours to write")
    return Write(path=path, data=base64.b64decode(item["data"], validate=True), swap=swap)


def _integer(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("the timestamp has no version")
    return value
