"""How few false reports would undo a decision: margin, budget and jackknife.

Whoever planted installs before a release was published can forge one first event for each. So a
decision says how many candidates' events would have to be false for it to fall (the **tamper
margin**), a pause must survive a small **budget** of them, and a pull must hold without the
networks with most of them (the **jackknife**).

Events are deleted in descending n_c / n_t, then the latest first: the factor of a candidate's
event is rho / (1 + (rho - 1) n_t / (n_t + n_c)), larger for every rho > 1 the smaller n_t's share
is, so that the greedy order is the best one. Of a matured cohort a candidate with the outcome is
turned into one without; at each step the one that lowers the e-value most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log1p

from update_server.evidence.betting import LAMBDAS
from update_server.evidence.fisher import (
    add_cohort,
    add_silence_cohort,
    empty_outcomes,
    empty_shares,
)
from update_server.evidence.one_sample import log_e_above
from update_server.evidence.ratio import add_event, empty_vector
from update_server.evidence.state import Label, Log, Scored
from update_server.evidence.weighing import Kind, Weighted, log_e_of

FAR = 100
"""Beyond so many false reports a margin is not counted any further: read "at least"."""

Vectors = list[list[float]]


@dataclass(frozen=True, slots=True)
class Logged:
    """What was counted for one metric, without the platforms that are held.

    ``rows`` are cohorts; each has one entry for each of the metric's processes.
    """

    labels: tuple[Label, ...] = ()
    rows: tuple[tuple[Scored, ...], ...] = ()


def logged(log: Log, epoch: int, metric: Weighted, held: Sequence[str]) -> Logged:
    """Read what was counted for *metric* in *epoch*."""
    if metric.kind is Kind.EVENTS:
        labels = log.labels(epoch, metric.metric)
        return Logged(labels=tuple(each for each in labels if each.platform not in held))
    scored = [
        [each for each in log.scored(epoch, name) if each.platform not in held]
        for name in metric.processes
    ]
    # The processes of one metric score the same cohorts, in the same order.
    return Logged(rows=tuple(zip(*scored, strict=False)))


def margin(
    metric: Weighted, vectors: Sequence[Sequence[float]], entries: Logged, log_e: float
) -> int:
    """Return how many candidates' reports must be false for the e-value to be under *log_e*.

    Args:
        metric: Whose evidence it is.
        vectors: Its vectors, over the platforms of *entries*.
        entries: What they were made from.
        log_e: The log e-value that the decision needs.

    Returns:
        0 if it is under it anyway, at most ``FAR``, and never more than there are reports.
    """
    start = [list(vector) for vector in vectors]
    match metric.kind:
        case Kind.EVENTS:
            return _margin_of_labels(start, entries.labels, log_e)
        case Kind.BETS:
            return _margin_of_bets(start, metric, entries.rows, log_e)
        case _:
            return _margin_of_cohorts(start, metric.kind, entries.rows, log_e)


def margin_of_failures(k: int, n: int, ceiling: float, log_e: float) -> int:
    """Return how many of *k* failures must have been none for "above the ceiling" to fall."""
    false = 0
    while false < min(k, FAR) and log_e_above(k - false, n, ceiling) >= log_e:
        false += 1
    return false


def without_networks(
    metric: Weighted, vectors: Sequence[Sequence[float]], entries: Logged, networks: int
) -> float:
    """Return the log e-value without candidates' reports from the busiest *networks*.

    Busiest are those with most of these reports. Controls' reports from there stay: without them
    the evidence would look stronger. Reports whose network is not known stay too.
    """
    counted = Counter(
        network for network in _networks_of_candidates(metric, entries) if network != b""
    )
    # Equal ones by their name: the choice must not depend on the order of reports.
    ranked = sorted(counted, key=lambda network: (-counted[network], network))
    dropped = frozenset(ranked[:networks])
    changed = [list(vector) for vector in vectors]
    if metric.kind is Kind.EVENTS:
        for label in entries.labels:
            if label.candidate and label.network in dropped:
                _subtract(changed[0], _factor(label))
    else:
        for (cohort,) in entries.rows:
            false = sum(network in dropped for network in cohort.networks)
            if false:
                turned = _turned(cohort, min(false, cohort.k_candidate))
                _replace(changed[0], metric.kind, cohort, turned)
    return log_e_of(metric.kind, changed)


def _networks_of_candidates(metric: Weighted, entries: Logged) -> list[bytes]:
    if metric.kind is Kind.EVENTS:
        return [label.network for label in entries.labels if label.candidate]
    return [network for (cohort,) in entries.rows for network in cohort.networks]


def _margin_of_labels(vectors: Vectors, labels: Sequence[Label], log_e: float) -> int:
    events = [label for label in reversed(labels) if label.candidate]
    # A stable sort: of equal shares the latest stays first.
    events.sort(key=lambda label: label.n_candidate / (label.n_candidate + label.n_control))
    deleted = 0
    while deleted < min(len(events), FAR) and log_e_of(Kind.EVENTS, vectors) >= log_e:
        _subtract(vectors[0], _factor(events[deleted]))
        deleted += 1
    return deleted


def _margin_of_cohorts(
    vectors: Vectors, kind: Kind, rows: Sequence[tuple[Scored, ...]], log_e: float
) -> int:
    # Cohorts of equal counts are interchangeable.
    left = Counter(_counts_only(row) for row in rows)
    changes: dict[tuple[Scored, ...], Vectors] = {}
    turned = 0
    while turned < FAR and log_e_of(kind, vectors) >= log_e:
        best: tuple[float, tuple[Scored, ...], Vectors] | None = None
        for row in left:
            if row not in changes:
                changes[row] = _change(kind, row)
            after = [_added(v, change) for v, change in zip(vectors, changes[row], strict=True)]
            lowered = log_e_of(kind, after)
            if any(c.k_candidate for c in row) and (best is None or lowered < best[0]):
                best = (lowered, row, after)
        if best is None:
            break
        _, row, vectors = best
        left[row] -= 1
        if not left[row]:
            del left[row]
        left[tuple(_turned(cohort, 1) for cohort in row)] += 1
        turned += 1
    return turned


def _margin_of_bets(
    vectors: Vectors, metric: Weighted, rows: Sequence[tuple[Scored, ...]], log_e: float
) -> int:
    sign = 1 if metric.higher_is_worse else -1
    gains = sorted(
        (gain for (cohort,) in rows for gain in _gains(cohort, sign) if gain > 0), reverse=True
    )
    deleted = 0
    while deleted < min(len(gains), FAR) and log_e_of(Kind.BETS, vectors) >= log_e:
        # A score at the centre would have been no bet at all.
        _subtract(vectors[0], [log1p(stake * gains[deleted]) for stake in LAMBDAS])
        deleted += 1
    return deleted


def _gains(cohort: Scored, sign: int) -> list[float]:
    """Return by how much of the stake each candidate's score raised the wealth."""
    hidden = len(cohort.scores)
    hidden_candidates = sum(candidate for candidate, _ in cohort.scores)
    gains = []
    for candidate, score in cohort.scores:
        if candidate:
            gains.append(sign * (1 - hidden_candidates / hidden) * (score - (cohort.centre or 0.0)))
        hidden -= 1
        hidden_candidates -= candidate
    return gains


def _counts_only(row: tuple[Scored, ...]) -> tuple[Scored, ...]:
    return tuple(replace(cohort, metric="", platform="", at=0.0, networks=()) for cohort in row)


def _turned(cohort: Scored, by: int) -> Scored:
    """Return *cohort* had *by* of its candidates not had the outcome; as it is if none had it."""
    by = min(by, cohort.k_candidate)
    return replace(cohort, k_candidate=cohort.k_candidate - by, k=cohort.k - by)


def _change(kind: Kind, row: tuple[Scored, ...]) -> Vectors:
    """Return what turning one candidate of *row* adds to each vector.

    Of an exceedance the one with the largest value is turned: it is above every quantile that
    any of them is above.
    """
    changes = []
    for cohort in row:
        change = _empty(kind)
        _replace(change, kind, cohort, _turned(cohort, 1))
        changes.append(change)
    return changes


def _empty(kind: Kind) -> list[float]:
    return empty_shares() if kind is Kind.SILENCE else empty_outcomes()


def _replace(vector: list[float], kind: Kind, old: Scored, new: Scored) -> None:
    before, after = _empty(kind), _empty(kind)
    add_scored(before, kind, old)
    add_scored(after, kind, new)
    _subtract(vector, before)
    vector[:] = _added(vector, after)


def add_scored(vector: list[float], kind: Kind, cohort: Scored) -> None:
    """Add a logged cohort to *vector*, of outcomes or of silence, as it was added when scored."""
    counts: Mapping[str, int] = {
        "k_candidate": cohort.k_candidate,
        "k": cohort.k,
        "n_candidate": cohort.n_candidate,
        "n_control": cohort.n_control,
    }
    if kind is Kind.SILENCE:
        add_silence_cohort(vector, **counts, base_rate=cohort.base_rate or 0.0)
    else:
        add_cohort(vector, **counts)


def _factor(label: Label) -> list[float]:
    factor = empty_vector()
    add_event(
        factor,
        candidate=label.candidate,
        n_candidate=label.n_candidate,
        n_control=label.n_control,
    )
    return factor


def _subtract(vector: list[float], part: Sequence[float]) -> None:
    vector[:] = [a - b for a, b in zip(vector, part, strict=True)]


def _added(vector: Sequence[float], part: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(vector, part, strict=True)]
