"""Evidence recomputed from a list of events that somebody wrote down: for reviewers and papers.

The document names one metric's settings and its events, each with how many of both arms were at
risk just before it. Not here: recomputing a stored decision (``recomputing``), and reading files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite, log
from typing import Any

from update_server.evidence.ratio import (
    GRID,
    add_event,
    empty_vector,
    estimate,
    interval,
    log_e_harm,
    log_e_noninferiority,
)
from update_server.evidence.verdicts import Verdict

CANDIDATE, CONTROL = "candidate", "control"

_PARTS = 3


class ReplayError(ValueError):
    """A document that cannot be replayed. ``field`` says where, as in ``events[3][1]``."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Event:
    candidate: bool
    n_candidate: int
    n_control: int


def replay(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of the events in *document*, as values that JSON has.

    ``ll`` holds the log likelihood of each ratio of the grid, not centred: an event of a
    candidate adds log(rho) - log(rho n_t + n_c), one of a control -log(rho n_t + n_c). Events
    with an arm of which nobody was at risk say nothing and add nothing. An end of the interval
    that is infinite is None; so is the verdict where no event says anything.

    Args:
        document: ``metric``, ``alpha``, ``weight``, ``margin`` (a point of the grid above 1),
            ``n_candidate``, ``n_control``, and ``events``: ["candidate" | "control", n_t, n_c]
            each, in order. Other fields are passed over.

    Raises:
        ReplayError: A field is missing or wrong.
    """
    _text(document, "metric")
    alpha = _share(document, "alpha", may_be_one=False)
    weight = _share(document, "weight", may_be_one=True)
    margin = _margin(document)
    for name in ("n_candidate", "n_control"):
        _whole(_required(document, name), name)
    events = _events(document)
    vector = empty_vector()
    told = [each for each in events if _add(vector, each)]
    log_e = log_e_harm(vector)
    at_one = -fsum(log(each.n_candidate + each.n_control) for each in told)
    low, high = interval(vector)
    verdict = None
    if told:
        crosses = log_e >= log(1 / (alpha * weight))
        verdict = Verdict.PAUSE.value if crosses else Verdict.CONTINUE.value
    return {
        "log_e_harm": log_e,
        "log_e_ni": log_e_noninferiority(vector, margin),
        "interval": [low, high if isfinite(high) else None],
        "ratio_estimate": estimate(vector),
        "ll": [[rho, d + at_one] for rho, d in zip(GRID, vector, strict=True)],
        "verdict": verdict,
    }


def _add(vector: list[float], event: _Event) -> bool:
    return add_event(
        vector,
        candidate=event.candidate,
        n_candidate=event.n_candidate,
        n_control=event.n_control,
    )


def _events(document: Mapping[str, Any]) -> list[_Event]:
    events = _required(document, "events")
    if not _is_list(events):
        raise ReplayError("events", "must be a list")
    return [_event(each, f"events[{index}]") for index, each in enumerate(events)]


def _event(value: Any, field: str) -> _Event:
    if not _is_list(value) or len(value) != _PARTS:
        raise ReplayError(field, f'must be ["{CANDIDATE}" or "{CONTROL}", n_t, n_c]')
    label = value[0]
    if label not in (CANDIDATE, CONTROL):
        raise ReplayError(f"{field}[0]", f'must be "{CANDIDATE}" or "{CONTROL}"')
    n_candidate = _whole(value[1], f"{field}[1]")
    n_control = _whole(value[2], f"{field}[2]")
    if label == CANDIDATE and not n_candidate:
        raise ReplayError(f"{field}[1]", "must be at least 1: the candidate was at risk itself")
    if label == CONTROL and not n_control:
        raise ReplayError(f"{field}[2]", "must be at least 1: the control was at risk itself")
    return _Event(label == CANDIDATE, n_candidate, n_control)


def _margin(document: Mapping[str, Any]) -> float:
    margin = _number(document, "margin")
    if margin <= 1 or margin not in GRID:
        raise ReplayError("margin", "must be a point of the grid above 1, such as 1.25, 1.5, 2, 3")
    return margin


def _share(document: Mapping[str, Any], field: str, *, may_be_one: bool) -> float:
    value = _number(document, field)
    if not 0 < value <= 1 or (value == 1 and not may_be_one):
        raise ReplayError(field, f"must be above 0 and {'at most' if may_be_one else 'below'} 1")
    return value


def _number(document: Mapping[str, Any], field: str) -> float:
    value = _required(document, field)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ReplayError(field, "must be a number")
    return float(value)


def _text(document: Mapping[str, Any], field: str) -> str:
    value = _required(document, field)
    if not isinstance(value, str) or not value:
        raise ReplayError(field, "must be a text")
    return value


def _whole(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ReplayError(field, "must be a whole number, 0 or more")
    return value


def _required(document: Mapping[str, Any], field: str) -> Any:
    if field not in document:
        raise ReplayError(field, "is missing")
    return document[field]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
