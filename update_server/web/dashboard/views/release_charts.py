"""The charts of a release, of what the API answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from update_server.web.dashboard.charts import Chart, Weighed, crash_free, e_bars, funnel

_STEPS: Final = ("offered", "downloaded", "applied", "launched", "healthy")


def charts_of(it: Mapping[str, Any]) -> Mapping[str, Chart]:
    """Return them by name, in the order of the page."""
    judged = it["judged"] or {}
    return {
        "crash_free": crash_free("crash-free", [], []),
        "against": e_bars("against", weighed(judged.get("log_e_by_metric") or {})),
        "funnel": funnel("steps", [(step, it["funnel"][step]["candidate"]) for step in _STEPS]),
    }


def weighed(metrics: Mapping[str, Mapping[str, Any]]) -> list[Weighed]:
    """Return what speaks against a release by each metric that has a limit."""
    return [
        Weighed(
            metric=name.replace("_", " "),
            log_e=one["log_e"],
            needed=one["needed"],
            weight=one["weight"],
            advisory=bool(one.get("advisory")),
        )
        for name, one in metrics.items()
        if one["needed"] is not None
    ]
