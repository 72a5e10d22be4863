"""A study's evidence over time, in few enough points to be drawn.

A point is written with the tick that it is of: where something was decided or a stage or an
epoch began, and else the farther apart the longer the study has run. Of more than
``MOST_POINTS`` every second one that is not marked goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from update_server.evidence.guards import Line, all_lines
from update_server.evidence.settings import HOUR, Metric, Settings
from update_server.evidence.shares import share_interval
from update_server.evidence.state import State
from update_server.evidence.verdicts import Judgement
from update_server.evidence.weighing import (
    SIGNATURE_PREFIX,
    Kind,
    Weighted,
    counts,
    log_e_total,
    platforms_of,
    weighted_metrics,
)
from update_server.service.ports import Stores
from update_server.service.ports.series import StudyPoint
from update_server.service.ports.studies import StoredStudy

MOST_POINTS: Final = 200
MOST_SIGNATURES: Final = 5

_SHORTEST: Final = 300.0
_EVEN: Final = 100
_DIGITS: Final = 6
_CRASHES: Final = Weighted(Metric.CRASH, Kind.EVENTS, 1.0, (Metric.CRASH,))


class Course:
    """The points of one study as its last tick left them, so that nothing is read twice."""

    def __init__(self, stored: Sequence[StudyPoint]) -> None:
        self._known = [(each.number, each.body["hours"] * HOUR, each.marked) for each in stored]
        last = stored[-1].body if stored else {}
        self._stood = last.get("epoch"), last.get("stage")

    def note(
        self,
        stores: Stores,
        study: StoredStudy,
        state: State,
        settings: Settings,
        judgement: Judgement,
        at: datetime,
    ) -> None:
        """Store how the study stands after a tick, by our clock at *at*, if that is due."""
        stands = state.epoch.number, state.stage.number
        marked = bool(judgement.record) or stands != self._stood
        since = state.now - state.started_at
        if not (marked or is_due(since, self._known[-1][1])):
            return
        number = self._known[-1][0] + 1 if self._known else 1
        body = point_of(state, settings, judgement)
        point = StudyPoint(number=number, at=at, marked=marked, body=body)
        stores.series.add_point(study.rollout, point)
        self._known.append((number, since, marked))
        self._stood = stands
        dropped = superfluous(self._known)
        if dropped:
            stores.series.drop_points(study.rollout, dropped)
            self._known = [each for each in self._known if each[0] not in dropped]


def is_due(since: float, last: float) -> bool:
    """Whether a point is due, both told in seconds since the study began."""
    apart = _SHORTEST
    while since / apart > _EVEN:
        apart *= 2
    return since - last >= apart


def superfluous(known: Sequence[tuple[int, float, bool]]) -> frozenset[int]:
    """Return the numbers to drop of (number, seconds, marked) in order; the ends always stay."""
    if len(known) <= MOST_POINTS:
        return frozenset()
    between = known[1:-1]
    plain = [number for number, _, marked in between if not marked]
    return frozenset((plain or [number for number, _, _ in between])[::2])


def point_of(state: State, settings: Settings, judgement: Judgement) -> Mapping[str, Any]:
    """Return how a study stands: log e-values, and per arm how many crashed, of how many.

    The arms are [crashed, installs, and the ends of the share's 95 % interval].
    """
    epoch = state.epoch
    bad, _ = counts(epoch, Metric.CRASH, platforms_of(epoch, _CRASHES, state.held))
    return {
        "hours": round((state.now - state.started_at) / HOUR, _DIGITS),
        "ring": state.stage.ring,
        "stage": state.stage.number,
        "epoch": epoch.number,
        "verdict": judgement.verdict and judgement.verdict.value,
        "no_verdict": judgement.no_verdict and judgement.no_verdict.value,
        "log_e": _log_e(state, settings),
        "candidate": _arm(bad.candidate, epoch.most.candidate),
        "control": _arm(bad.control, epoch.most.control),
    }


def _arm(crashed: int, installs: int) -> list[float]:
    # Installs that entered an earlier stage may crash after the most entered another.
    of = max(crashed, installs)
    return [crashed, of, *(round(end, _DIGITS) for end in share_interval(crashed, of))]


def _log_e(state: State, settings: Settings) -> dict[str, float]:
    """Return by metric what speaks against the release; of signatures those that speak most."""
    epoch = state.epoch
    found = {
        str(metric.metric): round(log_e_total(epoch, metric, platforms), _DIGITS)
        for metric in weighted_metrics(state, settings)
        if (platforms := platforms_of(epoch, metric, state.held))
    }
    named = [name for name in found if name.startswith(SIGNATURE_PREFIX)]
    for name in sorted(named, key=lambda each: -found[each])[MOST_SIGNATURES:]:
        del found[name]
    for line in all_lines(state, settings):
        if line.line is Line.FUNNEL:
            found[line.name] = round(line.log_e, _DIGITS)
    return found
