"""Whether one platform alone carries the evidence: then it is held, and the others go on."""

from __future__ import annotations

from math import log

from update_server.evidence.settings import Settings
from update_server.evidence.state import State
from update_server.evidence.weighing import Weighted, log_e_total, platforms_of, processes_of


def carried_by(state: State, metric: Weighted, settings: Settings) -> str | None:
    """Return the one platform that carries *metric*'s evidence against the release, or None.

    It must reach the limit alone, and the others together must stay below its square root; and
    there must be something known of those, or "the others are well" would be said of nobody.
    """
    epoch = state.epoch
    platforms = platforms_of(epoch, metric, state.held)
    needed = metric.needed(settings.alpha)
    # log E + log w < log(1/alpha) / 2
    harmless = needed - log(1 / settings.alpha) / 2
    for platform in platforms:
        rest = [other for other in platforms if other != platform]
        if (
            _is_informed(state, metric, rest)
            and log_e_total(epoch, metric, [platform]) >= needed
            and log_e_total(epoch, metric, rest) < harmless
        ):
            return platform
    return None


def _is_informed(state: State, metric: Weighted, platforms: list[str]) -> bool:
    """Whether *metric* compared the arms on any of *platforms*: an event or a whole cohort.

    An event that moved the vector had both arms at risk.
    """
    return any(
        any(process.vector) or (process.known.candidate and process.known.control)
        for name in metric.processes
        for process in processes_of(state.epoch, name, platforms)
    )
