"""Which share of installs is silent with nothing wrong: what silence is weighed by at first.

From the stratum's own windows of the 14 days before the rollout, where there were as many of them
as they weigh; else from the ladder's setting. Controls correct either as they come to be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from update_server.evidence.fisher import HISTORY_WEIGHT, base_rate
from update_server.evidence.settings import Settings
from update_server.evidence.state import Arms, State

LATER = 8
"""Added to a stratum of silence where installs came back before: they are silent less often."""


class Source(StrEnum):
    """Where a share comes from."""

    HISTORY = "history"
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A stratum's silent share before the rollout; ``windows`` is what it rests on, 0: nothing."""

    share: float
    source: Source
    windows: int = 0


def baseline_of(state: State, settings: Settings, stratum: int) -> Baseline:
    """Return the silent share that is supposed of *stratum* where no control is known yet."""
    known = (
        {s: (windows, silent) for s, windows, silent in state.past.windows} if state.past else {}
    )
    windows, silent = known.get(stratum, (0, 0))
    if windows < HISTORY_WEIGHT:
        return Baseline(settings.baseline_silence, Source.SETTING)
    return Baseline(silent / windows, Source.HISTORY, windows)


def predicted_share(state: State, settings: Settings, stratum: int) -> float:
    """Return the silent share predicted of *stratum* now, by its past and its controls so far."""
    so_far = state.silent_controls.get(stratum, Arms())
    share = baseline_of(state, settings, stratum).share
    return base_rate(share, so_far.candidate, so_far.control)
