"""What the signer remembers of one app across restarts, in one file of its own.

It is the last word on what was signed: never behind the database, and written to disk
before anybody hears of a signature. What cannot be read ends the signer's work on the app;
going on with an empty memory would use version numbers again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rollout.errors import RolloutError
from rollout.history import History, parse_history, render_history
from rollout.model import RolloutId
from signing.errors import BadStateError
from signing.state import RepositoryState, dump_state, load_state
from update_server.signer.marks import Mark, Marks

_FILE = "memory.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was signed last, and what later decisions depend on.

    ``known`` is the sha256 by path of every file that a release ever named, ``histories``
    what later changes of each channel are judged by, ``rollbacks`` when it signed rollbacks
    that nobody was seen to ask for, in the last day at least. ``marks`` say, by channel, which
    state changed each rollout last; ``withdrawn`` when tickets that were would have expired.
    """

    state: RepositoryState
    known: Mapping[str, str] = field(default_factory=dict)
    journal: bytes = b""
    timestamp_version: int = 0
    histories: Mapping[str, History] = field(default_factory=dict)
    rollbacks: tuple[datetime, ...] = ()
    marks: Mapping[str, Marks] = field(default_factory=dict)
    withdrawn: Mapping[str, datetime] = field(default_factory=dict)


def recall(folder: Path, app: str) -> Memory:
    """Return the memory of *app* in *folder*; an empty one if nothing was ever signed.

    Raises:
        BadStateError: There is one, and it cannot be read.
    """
    try:
        stored = json.loads((folder / _FILE).read_bytes())
        state = load_state(stored["state"].encode())
        if state.app != app:
            raise BadStateError(f"it is the memory of {state.app}")
        return Memory(
            state=state,
            known=stored["known"],
            journal=stored["journal"].encode(),
            timestamp_version=stored["timestamp_version"],
            histories={
                channel: parse_history(text.encode())
                for channel, text in stored["histories"].items()
            },
            rollbacks=tuple(datetime.fromisoformat(at) for at in stored["rollbacks"]),
            # Memories of before there were tickets have neither.
            marks={
                channel: {
                    RolloutId(rollout): Mark(version=version, at=datetime.fromisoformat(at))
                    for rollout, (version, at) in marks.items()
                }
                for channel, marks in stored.get("marks", {}).items()
            },
            withdrawn={
                sha256: datetime.fromisoformat(at)
                for sha256, at in stored.get("withdrawn", {}).items()
            },
        )
    except FileNotFoundError:
        return Memory(state=RepositoryState(app=app))
    except (AttributeError, KeyError, TypeError, ValueError, RolloutError) as error:
        raise BadStateError(f"{folder / _FILE} cannot be read: {error}") from error


def keep(folder: Path, memory: Memory) -> None:
    """Write *memory* to *folder*, on disk when this returns."""
    stored = {
        "state": dump_state(memory.state).decode(),
        "known": dict(memory.known),
        "journal": memory.journal.decode(),
        "timestamp_version": memory.timestamp_version,
        "histories": {
            channel: render_history(history).decode()
            for channel, history in memory.histories.items()
        },
        "rollbacks": [at.isoformat() for at in memory.rollbacks],
        "marks": {
            channel: {
                rollout: (mark.version, mark.at.isoformat()) for rollout, mark in marks.items()
            }
            for channel, marks in memory.marks.items()
        },
        "withdrawn": {sha256: at.isoformat() for sha256, at in memory.withdrawn.items()},
    }
    temporary = folder / f"{_FILE}.new"
    with temporary.open("wb") as handle:
        handle.write(json.dumps(stored).encode())
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(folder / _FILE)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
