"""The acts in which the server stops a release by itself: one that crashes, one that is silent.

Both go to a ring of the public at once, past the internal one, as somebody in a hurry would do
it. Nobody types ``pause`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from update_server.cli.demo import ladder
from update_server.cli.demo.cast import Cast
from update_server.cli.demo.programs import Program
from update_server.cli.demo.rollouts import Rollouts
from update_server.cli.demo.stage import Looks, Stage
from update_server.cli.errors import CliError

ENOUGH_INSTALLS = 30
"""With fewer, a quarter of them may be too few to tell anything from chance."""

_OFFERS_PER_MINUTE = 60  # slowly enough that not the whole ring has it when the server stops it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A release that the server stopped by itself: why, and how many installs had started it."""

    version: str
    verdict: str
    metric: str
    sentence: str
    log_e: float
    hurt: int
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the stop for the JSON document."""
        return {
            "version": self.version,
            "verdict": self.verdict,
            "metric": self.metric,
            "sentence": self.sentence,
            "log_e": round(self.log_e, 3),
            "machines_hurt": self.hurt,
            "seconds": round(self.seconds, 1),
        }


class Brake:
    """Plays the acts, and remembers in ``stops`` what the server stopped."""

    def __init__(self, stage: Stage, rollouts: Rollouts) -> None:
        self._stage = stage
        self._rollouts = rollouts
        self.stops: list[Stop] = []

    def crash(self, cast: Cast) -> str:
        """Start the damaged release; return what the server said when it stopped it."""
        since = self._start(cast.bad, offers_per_minute=_OFFERS_PER_MINUTE)
        record = self._wait_for_the_server(cast.bad)
        hurt = len(self._rollouts.installs_that_started(cast.bad.version))
        return self._told(cast.bad, record, hurt, since)

    def silence(self, cast: Cast) -> str:
        """Start the silent release; return what the server said when it stopped it."""
        since = self._start(cast.silent)
        record = self._wait_for_the_server(cast.silent)
        return self._told(cast.silent, record, len(self._stage.lost), since)

    def repair(self, cast: Cast) -> str:
        """Withdraw the silent release, and start the agents again that it took down."""
        stage, newer = self._stage, cast.newer.version
        self._rollouts.pull(cast.silent, cast.newer)
        down = set(stage.lost)

        def repaired(looks: Looks) -> bool:
            # Whatever starts an app starts it again, and each time it may be killed again.
            for install in stage.installs:
                if install.number in stage.lost:
                    stage.start_agent(install)
            stage.lost.clear()
            return all(look.version == newer and not look.pending for look in looks.values())

        stage.wait(f"every install back on {newer}", repaired, mortal=True)
        return f"{len(down)} agents were started again, and all installs are on {newer}"

    def _start(self, program: Program, *, offers_per_minute: int = 0) -> float:
        stage = self._stage
        terms = ladder.hurried(
            check_in_seconds=stage.settings.check_in_seconds,
            offers_per_minute=offers_per_minute,
        )
        self._rollouts.start(program, terms, "--reason", "no time for the internal ring")
        return stage.clock.monotonic()

    def _wait_for_the_server(self, program: Program) -> dict[str, Any]:
        stage, observer = self._stage, self._stage.observer()
        rollout = self._rollouts.id_of(program.version)

        def stopped(_: Looks) -> bool:
            return observer.state(rollout) in {"paused", "pulled"}

        stage.wait(f"the server stopping {program.version}", stopped, mortal=True)
        record = observer.stop(rollout)
        if record is None:
            raise CliError("not_judged", f"{program.version} was stopped without a decision")
        return record

    def _told(self, program: Program, record: dict[str, Any], hurt: int, since: float) -> str:
        metric = str(record["cause_metric"])
        stop = Stop(
            version=str(program.version),
            verdict=str(record["verdict"]),
            metric=metric,
            sentence=str(record["sentence"]),
            log_e=_log_e(record, metric),
            hurt=hurt,
            seconds=self._stage.clock.monotonic() - since,
        )
        self.stops.append(stop)
        return f"{stop.sentence} Installs that started it: {hurt} of {len(self._stage.installs)}"


def _log_e(record: Mapping[str, Any], metric: str) -> float:
    """Return the evidence that a release was stopped on: a comparison's, or a stop line's."""
    weighed = record["log_e_by_metric"].get(metric)
    lines = [weighed] if weighed else [each for each in record["guards"] if each["name"] == metric]
    return float(lines[0]["log_e"]) if lines and lines[0]["log_e"] is not None else 0.0
