"""The charts of a release, of what the API answers: nothing is counted here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from update_server.web.dashboard.charts import (
    Chart,
    Crashed,
    Hour,
    Mark,
    Size,
    Weighed,
    crash_free,
    e_bars,
    funnel,
    sparkline,
)

Body = Mapping[str, Any]

STEPS: Final = ("offered", "downloaded", "applied", "launched", "healthy")

# Points of a line, each of which is two rows of the table: a page has 50 kB for all that it says.
_POINTS: Final = 24
_SIGNATURE: Final = "signature:"
_HOURS: Final = 24
_MOST_HOURS: Final = 5
_STOPS: Final = ("pause", "pull")


def charts_of(it: Body, series: Body) -> Mapping[str, Chart]:
    """Return them by name."""
    judged = it["judged"] or {}
    return {
        "crash_free": crash_free_of(series, _POINTS),
        "against": e_bars(
            "against", weighed(judged.get("log_e_by_metric") or {}, it["signatures"])
        ),
        "funnel": funnel("steps", [(step, it["funnel"][step]["candidate"]) for step in STEPS]),
    }


def hours_of(it: Body, series: Body) -> Mapping[str, Chart]:
    """Return by signature when installs first had it, of the crashes that are weighed."""
    known = {each["signature"]: each["hours"] for each in series["crashes"]["signatures"]}
    shown = [each for each in it["signatures"] if known.get(each["signature"])]
    return {
        each["signature"]: sparkline(
            f"hours-{n}",
            [
                Hour(at=unix(hour["at"]), candidate=hour["candidate"], control=hour["control"])
                for hour in known[each["signature"]]
            ],
            title=each["title"],
            at_risk=(each["of"]["candidate"], each["of"]["control"]),
            size=Size(width=160, height=32, points=_HOURS),
        )
        for n, each in enumerate(shown[:_MOST_HOURS])
    }


def crash_free_of(series: Body, points: int) -> Chart:
    """Return how many of each arm had not crashed, over time."""
    return crash_free(
        "crash-free-chart",
        list(_arm(series, "candidate")),
        list(_arm(series, "control")),
        marks=list(_marks(series["points"])),
        gaps=[(unix(gap["from"]), unix(gap["to"])) for gap in series["gaps"]],
        size=Size(points=points),
    )


def weighed(metrics: Mapping[str, Body], signatures: Sequence[Body] = ()) -> list[Weighed]:
    """Return what speaks against a release by each metric that has a limit.

    Those of *signatures* are called by their titles.
    """
    titles = {f"{_SIGNATURE}{each['signature']}": each["title"] for each in signatures}
    return [
        Weighed(
            metric=titles.get(name) or name.replace("_", " "),
            log_e=one["log_e"],
            needed=one["needed"],
            weight=one["weight"],
            advisory=bool(one.get("advisory")),
        )
        for name, one in metrics.items()
        if one["needed"] is not None
    ]


def unix(text: str) -> float:
    """Return an instant of the API in Unix seconds, as charts have it."""
    return datetime.fromisoformat(text).timestamp()


def _arm(series: Body, arm: str) -> Iterator[Crashed]:
    for point in series["points"]:
        told = point[arm]
        low, high = told["share_interval_95"]
        known = low is not None and high is not None
        yield Crashed(
            at=unix(point["at"]),
            crashed=told["crashed"] or 0,
            of=(told["installs"] or 0) if known else 0,
            low=low if known else 0.0,
            high=high if known else 1.0,
            epoch=point["epoch"],
        )


def _marks(points: Sequence[Body]) -> Iterator[Mark]:
    """Yield where a ring opened, and where the judge stopped the release."""
    for before, after in pairwise(points):
        if after["ring"] != before["ring"]:
            yield Mark(at=unix(after["at"]), label=after["ring"])
        elif after["verdict"] != before["verdict"] and after["verdict"] in _STOPS:
            yield Mark(at=unix(after["at"]), label=after["verdict"])
