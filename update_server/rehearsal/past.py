"""A rollout of the past under another ladder: when would it have paused, and what would it pass?

From the log of one metric, which the server shows with ``…/evidence``. What happened is not played
again: an earlier pause would have spared installs, and a later promotion counted fewer. What is
asked is what the other terms would have said of the same reports, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

from rollout.model import FULL_EXPOSURE_BP
from update_server.evidence.fisher import (
    empty_outcomes,
    empty_shares,
    log_e_noninferiority_outcomes,
    log_e_silence_gate,
)
from update_server.evidence.ratio import add_event, empty_vector, log_e_noninferiority
from update_server.evidence.settings import Metric, Settings
from update_server.evidence.state import Label, Scored
from update_server.evidence.tamper import Logged, add_scored, margin
from update_server.evidence.weighing import Kind, Weighted, log_e_of

METRICS: tuple[tuple[Metric, Kind], ...] = (
    (Metric.CRASH, Kind.EVENTS),
    (Metric.CRASH_LOOP, Kind.EVENTS),
    (Metric.SILENCE, Kind.SILENCE),
    (Metric.HEALTHY, Kind.OUTCOMES),
)
"""The metrics whose past can be replayed."""

# Chance makes risk sets wider than the design: this much is still "at most so much exposure".
_SLACK = 1.25
_LATEST = 20


class PastError(ValueError):
    """The evidence of a rollout cannot be replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """When a limit of some gate was ruled out; ``at`` is as the server wrote it."""

    limit: float
    at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One metric under other terms. Instants are as the server wrote them, None for never.

    ``paused_then`` is by the terms that held, without their budget, which the server does not
    show; ``paused_now`` by the others, with theirs. ``passed`` has each limit of the gates.
    """

    metric: str
    reports: int
    log_e: float
    needed_then: float
    needed_now: float | None
    paused_then: str | None
    paused_now: str | None
    passed: tuple[Passed, ...]


def replay_past(evidence: Mapping[str, Any], settings: Settings) -> Replayed:
    """Return what *settings* would have said of the log in *evidence*.

    Raises:
        PastError: *evidence* is not that of one of ``METRICS``, or lacks a field.
    """
    try:
        kind = dict(METRICS)[Metric(evidence["metric"])]
        return _Replay(evidence, kind, settings).run()
    except (KeyError, TypeError, ValueError) as error:
        raise PastError(f"the server's evidence cannot be read: {error!r}") from error


@dataclass(slots=True)
class _Replay:
    evidence: Mapping[str, Any]
    kind: Kind
    settings: Settings
    vector: list[float] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    rows: list[tuple[Scored, ...]] = field(default_factory=list)

    def run(self) -> Replayed:
        metric = str(self.evidence["metric"])
        weight = self.settings.weights.get(metric, 0.0)
        needed = log(1 / (self.settings.alpha * weight)) if weight else None
        needed_then = float(self.evidence["needed"])
        self.vector = {
            Kind.EVENTS: empty_vector,
            Kind.SILENCE: empty_shares,
        }.get(self.kind, empty_outcomes)()
        paused_then = paused_now = None
        passed: dict[float, str | None] = dict.fromkeys(self._limits())
        entries: Sequence[Mapping[str, Any]] = self.evidence["log"]
        for entry in entries:
            at = str(entry["at"])
            self._take(metric, entry)
            log_e = log_e_of(self.kind, [self.vector])
            if log_e >= needed_then:
                paused_then = paused_then or at
            if paused_now is None and needed is not None and log_e >= needed:
                paused_now = at if self._survives(metric, weight, needed) else None
            for limit, when in passed.items():
                if when is None and self._rules_out(limit):
                    passed[limit] = at
        return Replayed(
            metric=metric,
            reports=len(entries),
            log_e=log_e_of(self.kind, [self.vector]),
            needed_then=needed_then,
            needed_now=needed,
            paused_then=paused_then,
            paused_now=paused_now,
            passed=tuple(Passed(limit=limit, at=at) for limit, at in passed.items()),
        )

    def _take(self, metric: str, entry: Mapping[str, Any]) -> None:
        counts: dict[str, Any] = {
            "n_candidate": entry["n_candidate"],
            "n_control": entry["n_control"],
        }
        shared: dict[str, Any] = {
            "epoch": 1,
            "metric": metric,
            "platform": "",
            "at": float(len(self.labels)),
        }
        if self.kind is Kind.EVENTS:
            label = Label(**shared, **counts, candidate=entry["arm"] == "candidate")
            add_event(self.vector, candidate=label.candidate, **counts)
            self.labels.append(label)
            return
        scored = Scored(
            **shared,
            **counts,
            k_candidate=entry["k_candidate"],
            k=entry["k"],
            base_rate=entry["base_rate"],
        )
        add_scored(self.vector, self.kind, scored)
        self.rows.append((scored,))

    def _survives(self, metric: str, weight: float, needed: float) -> bool:
        """Whether the evidence survives the reports that may be forged at this exposure."""
        budget = self.settings.budget
        if not budget or self._share() > _SLACK * self.settings.budget_up_to_bp / FULL_EXPOSURE_BP:
            return True
        weighted = Weighted(metric, self.kind, weight, (metric,))
        entries = Logged(labels=tuple(self.labels), rows=tuple(self.rows))
        return margin(weighted, [self.vector], entries, needed) > budget

    def _share(self) -> float:
        counted: list[Label | Scored] = [*self.labels, *(row[0] for row in self.rows)]
        latest = counted[-_LATEST:]
        candidates = sum(each.n_candidate for each in latest)
        return candidates / max(1, candidates + sum(each.n_control for each in latest))

    def _limits(self) -> list[float]:
        if self.evidence["metric"] == Metric.CRASH_LOOP:
            return []
        gates = self.settings.gates
        silence = self.kind is Kind.SILENCE
        return sorted({g.silence if silence else g.margin for g in gates}, reverse=True)

    def _rules_out(self, limit: float) -> bool:
        test = {
            Kind.EVENTS: log_e_noninferiority,
            Kind.SILENCE: log_e_silence_gate,
        }.get(self.kind, log_e_noninferiority_outcomes)
        return test(self.vector, limit) >= log(1 / self.settings.alpha_noninferiority)
