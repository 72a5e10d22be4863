"""A stored decision recomputed from the log: does its evidence come out again?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from update_server.evidence.betting import add_scored_cohort, empty_bets
from update_server.evidence.fisher import empty_outcomes, empty_shares
from update_server.evidence.guards import Line
from update_server.evidence.numerics import math_sha256
from update_server.evidence.one_sample import log_e_above
from update_server.evidence.ratio import add_event, empty_vector
from update_server.evidence.state import Label, Scored
from update_server.evidence.tamper import add_scored
from update_server.evidence.weighing import Kind, log_e_of, sum_of

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """How a recomputed decision compares with its record.

    ``same_mathematics`` tells whether this machine computes like the one that decided: if so the
    bits have to be the same, else values agree to 1e-9. ``contested`` is the result: some value
    does not agree, or a metric is now on the other side of its limit. ``differing`` names those.
    """

    same_mathematics: bool
    same_bits: bool
    contested: bool
    log_e_by_metric: Mapping[str, float] = field(default_factory=dict)
    differing: tuple[str, ...] = ()


def recompute(
    record: Mapping[str, Any], labels: Iterable[Label], scored: Iterable[Scored]
) -> Recomputed:
    """Recompute the evidence in *record* from the log.

    Args:
        record: As ``records.describe`` made it.
        labels: Of all metrics, in the log's order; later ones than the decision's do no harm.
        scored: Likewise.
    """
    entries = _Entries(record, labels, scored)
    found: dict[str, float] = {}
    differing: list[str] = []
    same_bits, same_mathematics = True, record["math_sha256"] == math_sha256()
    for metric, told in record["log_e_by_metric"].items():
        log_e = found[metric] = entries.log_e(told)
        same_bits = same_bits and log_e == told["log_e"]
        agrees = (
            log_e == told["log_e"]
            if same_mathematics
            else isclose(log_e, told["log_e"], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        )
        if not agrees or (log_e >= told["needed"]) != (told["log_e"] >= told["needed"]):
            differing.append(metric)
    return Recomputed(
        same_mathematics=same_mathematics,
        same_bits=same_bits,
        contested=bool(differing),
        log_e_by_metric=found,
        differing=tuple(differing),
    )


def without_struck(record: Mapping[str, Any], metric: str, labels: Iterable[Label]) -> float:
    """Return the log e-value of a metric of first events without the labels that were struck.

    *record* and *labels* are as in ``recompute``. The others' terms stay as they were counted.
    """
    entries = _Entries(record, labels, (), with_struck=False)
    return entries.log_e(record["log_e_by_metric"][metric])


class _Entries:
    """The log of one epoch, by process, as it was when the decision was made."""

    def __init__(
        self,
        record: Mapping[str, Any],
        labels: Iterable[Label],
        scored: Iterable[Scored],
        *,
        with_struck: bool = True,
    ) -> None:
        self._with_struck = with_struck
        self._held = frozenset(record["held"])
        self._by_name: dict[str, list[Label | Scored]] = {}
        entries: list[Label | Scored] = [*labels, *scored]
        for entry in entries:
            if entry.epoch == record["epoch"]:
                self._by_name.setdefault(entry.metric, []).append(entry)

    def log_e(self, told: Mapping[str, Any]) -> float:
        """Return the log e-value of one metric of the record."""
        if told["test"] == Line.FUNNEL:
            return log_e_above(told["failed"], told["known"], told["ceiling"])
        kind = Kind(told["test"])
        higher_is_worse = told["higher_is_worse"]
        return log_e_of(
            kind,
            [
                self._vector(kind, self._by_name.get(name, [])[:count], higher_is_worse)
                for name, count in told["entries"].items()
            ],
        )

    def _vector(
        self, kind: Kind, entries: Sequence[Label | Scored], higher_is_worse: bool
    ) -> list[float]:
        by_platform: dict[str, list[float]] = {}
        for entry in entries:
            struck = isinstance(entry, Label) and entry.struck and not self._with_struck
            if entry.platform not in self._held and not struck:
                vector = by_platform.setdefault(entry.platform, _empty(kind))
                _add(vector, kind, entry, higher_is_worse)
        # The order of ``weighing.total``.
        return sum_of((by_platform[name] for name in sorted(by_platform)), _empty(kind))


def _empty(kind: Kind) -> list[float]:
    match kind:
        case Kind.EVENTS:
            return empty_vector()
        case Kind.SILENCE:
            return empty_shares()
        case Kind.BETS:
            return empty_bets()
        case _:
            return empty_outcomes()


def _add(vector: list[float], kind: Kind, entry: Label | Scored, higher_is_worse: bool) -> None:
    if isinstance(entry, Label):
        add_event(
            vector,
            candidate=entry.candidate,
            n_candidate=entry.n_candidate,
            n_control=entry.n_control,
        )
    elif kind is Kind.BETS:
        add_scored_cohort(
            vector,
            scores=entry.scores,
            centre=entry.centre or 0.0,
            harm_is_higher=higher_is_worse,
        )
    else:
        add_scored(vector, kind, entry)
