"""How much each metric's evidence weighs: its e-value over all platforms that are not held.

A metric pauses when its weight times its e-value reaches 1/alpha, which is to say when its log
e-value reaches log(1 / (alpha weight)): a weighted Bonferroni bound. Averages of e-values would
not do, since metrics reveal an install's label at different times (Choe, Ramdas 2024, 2402.09698).

Not here: the contamination budget (``tamper``), and tests without a control arm (``guards``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from math import inf, log

from update_server.evidence.betting import empty_bets, log_e_bets
from update_server.evidence.fisher import (
    OUTCOME_GRID,
    empty_outcomes,
    empty_shares,
    log_e_exceedance,
    log_e_harm_outcomes,
    log_e_silence,
)
from update_server.evidence.ratio import empty_vector, estimate, interval, log_e_harm
from update_server.evidence.settings import Metric, Settings
from update_server.evidence.state import Arms, Epoch, Process, State

SIGNATURE_PREFIX = f"{Metric.SIGNATURE}:"
SCORE_PREFIX = "score:"
QUANTILES = ("q50", "q90", "q99")
"""The quantiles of control's measurements; each has a process of its own."""

_LOG_20 = log(20)


class Kind(StrEnum):
    """What a metric's vectors are."""

    EVENTS = "events"
    OUTCOMES = "outcomes"
    SILENCE = "silence"
    EXCEEDANCE = "exceedance"
    BETS = "bets"


@dataclass(frozen=True, slots=True)
class Weighted:
    """A metric and its share of alpha. ``processes`` are the names its vectors go by."""

    metric: str
    kind: Kind
    weight: float
    processes: tuple[str, ...]
    advisory: bool = False
    higher_is_worse: bool = True

    def needed(self, alpha: float) -> float:
        """Return the log e-value at which this metric pauses."""
        return log(1 / (alpha * self.weight))


_PLAIN = (
    (Metric.CRASH, Kind.EVENTS),
    (Metric.SILENCE, Kind.SILENCE),
    (Metric.LATER_SILENCE, Kind.SILENCE),
    (Metric.HEALTHY, Kind.OUTCOMES),
    (Metric.CRASH_LOOP, Kind.EVENTS),
)
_EMPTY = {
    Kind.EVENTS: empty_vector,
    Kind.OUTCOMES: empty_outcomes,
    Kind.SILENCE: empty_shares,
    Kind.EXCEEDANCE: empty_outcomes,
    Kind.BETS: empty_bets,
}


def weighted_metrics(state: State, settings: Settings) -> list[Weighted]:
    """Return the metrics that have a weight above 0, in a fixed order.

    The j-th signature that appeared gets 1/(j(j+1)) of the signatures' weight, so that any
    number of them shares it.
    """
    weights = settings.weights
    found = [
        Weighted(metric, kind, weights[metric], (metric,))
        for metric, kind in _PLAIN
        if weights.get(metric, 0.0) > 0
    ]
    share = weights.get(Metric.SIGNATURE, 0.0)
    if share > 0:
        for j, signature in enumerate(state.signatures, start=1):
            name = SIGNATURE_PREFIX + signature
            found.append(Weighted(name, Kind.EVENTS, share / (j * (j + 1)), (name,)))
    for measured in settings.measured:
        if measured.weight > 0:
            name = SCORE_PREFIX + measured.name
            exceeds = measured.test == "exceedance"
            found.append(
                Weighted(
                    name,
                    Kind.EXCEEDANCE if exceeds else Kind.BETS,
                    measured.weight,
                    tuple(f"{name}:{q}" for q in QUANTILES) if exceeds else (name,),
                    measured.advisory,
                    measured.higher_is_worse,
                )
            )
    return found


def platforms_of(epoch: Epoch, metric: Weighted, held: Iterable[str] = ()) -> list[str]:
    """Return the platforms not *held* that have evidence on *metric*, sorted."""
    out = set(held)
    names = {p for process in metric.processes for p in epoch.processes.get(process, ())}
    return sorted(names - out)


def total(epoch: Epoch, metric: Weighted, platforms: Sequence[str]) -> list[list[float]]:
    """Return the vectors of *metric* summed over *platforms*, one for each of its processes.

    The platforms' order decides the last bit of a sum: give them sorted.
    """
    return [
        sum_of(
            (p.vector for p in processes_of(epoch, name, platforms)),
            empty=_EMPTY[metric.kind](),
        )
        for name in metric.processes
    ]


def sum_of(vectors: Iterable[Sequence[float]], empty: list[float]) -> list[float]:
    """Return *vectors* added element by element; *empty* if there are none."""
    rest = iter(vectors)
    summed = next((list(first) for first in islice(rest, 1)), empty)
    for vector in rest:
        summed = [a + b for a, b in zip(summed, vector, strict=True)]
    return summed


def processes_of(epoch: Epoch, name: str, platforms: Sequence[str]) -> list[Process]:
    """Return the processes called *name* on *platforms*, in their order."""
    by_platform = epoch.processes.get(name, {})
    return [by_platform[p] for p in platforms if p in by_platform]


def log_e_of(kind: Kind, vectors: Sequence[Sequence[float]]) -> float:
    """Return the log e-value against "the release changes nothing" of a metric's vectors."""
    match kind:
        case Kind.EVENTS:
            return log_e_harm(vectors[0])
        case Kind.OUTCOMES:
            return log_e_harm_outcomes(vectors[0])
        case Kind.SILENCE:
            return log_e_silence(vectors[0])
        case Kind.EXCEEDANCE:
            return log_e_exceedance(vectors)
        case _:
            return log_e_bets(vectors[0])


def log_e_total(epoch: Epoch, metric: Weighted, platforms: Sequence[str]) -> float:
    """Return the log e-value of *metric* over *platforms* together; 0 if there are none."""
    return log_e_of(metric.kind, total(epoch, metric, platforms))


def reaches(epoch: Epoch, metric: Weighted, platforms: Sequence[str], log_e: float) -> bool:
    """Whether the log e-value of *metric* over *platforms* is *log_e* or more.

    An e-value is a weighted mean, so it is at most its largest term: as long as the largest
    numbers of the vectors do not add up to *log_e*, which is nearly always, no exponential is
    taken.
    """
    largest = max(
        sum(max(p.vector) for p in processes_of(epoch, name, platforms))
        for name in metric.processes
    )
    # A hair below, for sums in another order may differ in the last bits.
    return largest >= log_e - 1e-6 and log_e_total(epoch, metric, platforms) >= log_e


def counts(epoch: Epoch, name: str, platforms: Sequence[str]) -> tuple[Arms, Arms]:
    """Return how many installs had the event or outcome, and of how many it is known."""
    bad, known = Arms(), Arms()
    for process in processes_of(epoch, name, platforms):
        for sum_so_far, more in ((bad, process.bad), (known, process.known)):
            sum_so_far.candidate += more.candidate
            sum_so_far.control += more.control
    return bad, known


def interval_of(kind: Kind, vector: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a hazard ratio, or of an outcome's odds ratio.

    For outcomes it is made like that of hazard ratios (``ratio.interval``): the grid's ratios
    that the harm mixture does not refute at 20, and one point outward at each end.
    """
    if kind is Kind.EVENTS:
        return interval(vector)
    limit = log_e_harm_outcomes(vector) - _LOG_20
    # The mixture holds ratios above 1 only, and may refute nothing of what is below: then the
    # grid's lower end is inside. The best point of the mixture is never refuted.
    inside = [i for i, d in enumerate(vector) if d > limit]
    low, high = inside[0] - 1, inside[-1] + 1
    return (
        OUTCOME_GRID[low] if low >= 0 else 0.0,
        OUTCOME_GRID[high] if high < len(OUTCOME_GRID) else inf,
    )


def estimate_of(kind: Kind, vector: Sequence[float]) -> float:
    """Return the most likely hazard ratio, or odds ratio of an outcome, of the grid."""
    if kind is Kind.EVENTS:
        return estimate(vector)
    return OUTCOME_GRID[max(range(len(OUTCOME_GRID)), key=lambda i: vector[i])]
