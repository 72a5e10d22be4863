"""What one look at the evidence found, before it is put on record."""

from __future__ import annotations

from dataclasses import dataclass

from update_server.evidence.gates import Standing
from update_server.evidence.guards import Reached
from update_server.evidence.verdicts import NoVerdict, Verdict
from update_server.evidence.weighing import Weighted


@dataclass(frozen=True, slots=True)
class Against:
    """A metric that speaks against the release: enough to pause, budget aside."""

    metric: Weighted
    log_e: float
    needed: float


@dataclass(frozen=True, slots=True)
class Tamper:
    """How well evidence stands up to forgery.

    ``margin`` is a number of reports; the others are log e-values without the candidates' reports
    of the network, and of the few networks, with most of them.
    """

    margin: int
    without_one: float
    without_few: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict, or none, and what it rests on.

    ``is_old``: it was decided before, and neither carried out nor put on record again.
    """

    verdict: Verdict | None = None
    no_verdict: NoVerdict | None = None
    against: Against | None = None
    tamper: Tamper | None = None
    line: Reached | None = None
    hold: str | None = None
    standing: Standing | None = None
    is_old: bool = False

    @property
    def cause(self) -> str | None:
        """The metric or guard behind a pause, pull or hold."""
        if self.against is not None:
            return str(self.against.metric.metric)
        return None if self.line is None else self.line.name
