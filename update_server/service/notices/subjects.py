"""Subject lines of messages: what, where, and how bad against what, in 70 characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from update_server.evidence.settings import Metric
from update_server.evidence.weighing import SCORE_PREFIX, SIGNATURE_PREFIX
from update_server.evidence.words import count
from update_server.service.notices.plain_text import cut, plain

MOST_CHARACTERS: Final = 70
_FEWEST_OF_APP: Final = 4  # characters of an app's name that are left to tell it by

_DID: Final = {
    Metric.CRASH: "crashed",
    Metric.CRASH_LOOP: "in crash loops",
    Metric.HEALTHY: "not healthy",
    Metric.SILENCE: "silent",
    Metric.LATER_SILENCE: "silent later",
}
# What guards and steps of the update are called in records.
_REACHED: Final = {
    "crashed": "crashed",
    "unhealthy": "not healthy",
    "crash_loop": "in crash loops",
    "silent": "silent",
    "failed_starts": "failed to start",
    "download": "failed to download",
    "verify": "failed to verify",
    "apply": "failed to apply",
    "history": "crashed",
}


def subject(word: str, app: str, rest: str, counted: str = "") -> str:
    """Return ``WORD app rest: counted``; a long name of an app is cut before anything else.

    Half a number would be another number: what was counted is left out if it does not fit.
    """
    end = f" {rest}: {counted}" if counted else f" {rest}"
    room = MOST_CHARACTERS - len(word) - 1 - len(end)
    if counted and room < _FEWEST_OF_APP:
        return subject(word, app, rest)
    told = f"{word} {cut(app, max(room, _FEWEST_OF_APP))}{end}"
    return cut(plain(told, 2 * MOST_CHARACTERS), MOST_CHARACTERS)


def counted(record: Mapping[str, Any]) -> str:
    """Return what a decision record counted: both arms where it compares, else one."""
    cause = record["cause_metric"]
    if cause is None:
        return ""
    if record["jackknife"] is None:
        line = next(each for each in record["guards"] if each["name"] == cause)
        did = _REACHED[cause.rpartition(":")[2]]
        return f"{count(line['failed'])}/{count(line['known'])} {did}"
    ours, theirs = record["candidate"], record["control"]
    return (
        f"{count(ours['events'])}/{count(ours['installs'])} {_did(cause)} "
        f"vs {count(theirs['events'])}/{count(theirs['installs'])}"
    )


def _did(metric: str) -> str:
    if metric.startswith(SIGNATURE_PREFIX):
        return "new crash"
    if metric.startswith(SCORE_PREFIX):
        return f"worse {metric.removeprefix(SCORE_PREFIX)}"
    return _DID[Metric(metric)]
