"""Crashes that nobody has named yet, while some crashes are waived.

A launcher tells of a crash without its signature, and often before the app does, which can name it.
Counted at once, a waived crash would count after all. So while a waiver is in force such a crash
waits for its name, in both arms alike: if that is waived nothing counts, if it is another one it
counts by it, and if none comes within an hour it counts as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from update_server.evidence.facts import Crash
from update_server.evidence.settings import HOUR
from update_server.evidence.state import State
from update_server.evidence.tick import Tick

NAMING_SECONDS = HOUR
"""How long a crash waits for its name."""

SAME_CRASH_SECONDS = 10.0
"""Two reports of one install so near to each other, by our clock, are of one crash.

Longer than writing a dump takes, shorter than anybody starts an app again by hand.
"""


def unnamed_until(state: State, now: float) -> list[Crash]:
    """Take the crashes that have waited for long enough out of *state*, in order of receipt."""
    due = [crash for crash in state.unnamed if crash.at + NAMING_SECONDS <= now]
    state.unnamed = [crash for crash in state.unnamed if crash.at + NAMING_SECONDS > now]
    return due


def with_name(tick: Tick, fact: Crash) -> Crash | None:
    """Return the crash as it is to be counted now; None if it waits for its name."""
    state = tick.state
    if not fact.signature:
        if fact.again or not _may_be_waived(state, fact):
            return fact
        state.unnamed.append(fact)
        return None
    near = SAME_CRASH_SECONDS * tick.settings.speed
    for waiting in _of(state.unnamed, fact.install):
        if fact.again and abs(_happened_at(waiting) - _happened_at(fact)) <= near:
            state.unnamed.remove(waiting)
            return replace(fact, again=False)
    return fact


def _may_be_waived(state: State, fact: Crash) -> bool:
    return any(_happened_at(fact) < end for end in state.epoch.waived.values())


def _of(crashes: Sequence[Crash], install: bytes) -> list[Crash]:
    return [crash for crash in crashes if crash.install == install]


def _happened_at(fact: Crash) -> float:
    return min(fact.happened_at, fact.at)
