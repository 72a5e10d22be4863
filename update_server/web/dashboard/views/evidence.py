"""``…/rollouts/{rollout}/evidence``: all that speaks for and against a release, and by what rule.

Nothing here is green, and nothing has a tick: numbers are shown, and the verdict is the judge's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flask import Blueprint, Response, request

from rollout.model import RolloutId
from update_server.service.ports import NotFoundError, Role
from update_server.web.admin import decisions, rollouts, series, studies
from update_server.web.admin.queries import Part, optional_number
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.charts import Chart, Line, Size, Weighed, e_bars, e_lines
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.numbers import Numbers
from update_server.web.dashboard.pages import LIVE, Pages
from update_server.web.dashboard.views.release_charts import crash_free_of, unix

PIECES: Final = ("said", "against", "against_table", "over_time", "over_time_table", "free")
AT_ONCE: Final = 5
"""Decisions: all that is said of them, with all else on the page, fits into its 50 kB."""

RECOMPUTED_ON_A_PAGE: Final = 2_000
"""Entries of a log: a page should not have anybody wait."""

_POINTS: Final = 16
_FREE_POINTS: Final = 10
_MOST_LINES: Final = 3
_MOST_SIGNATURES: Final = 3
_MOST_ON_PLATFORMS: Final = 12
_MOST_OVER: Final = 6
_LONGEST_RECORD: Final = 30_000
_SIGNATURE: Final = "signature:"

Body = Mapping[str, Any]


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("evidence_page", __name__)

    @bp.get("/apps/<name:app>/rollouts/<name:rollout>/evidence")
    def get_evidence(app: str, rollout: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        name = RolloutId(rollout)
        try:
            it = studies.body(services, app, name)
        except NotFoundError as error:
            if error.kind != "study":
                raise
            return _never_judged(services, pages, visitor, app, name)
        number = optional_number("decision", least=1)
        if number is not None and LIVE not in request.args:
            return _record(services, pages, visitor, app, name, number)
        before = optional_number("before", least=0)
        told = decisions.page_body(services, app, name, Part(limit=AT_ONCE, cursor=before))
        drawn = series.body(services, app, name)
        epoch, shown = it["epochs"][-1], _of_epochs(it["epochs"])
        return pages.show(
            "evidence.html",
            visitor,
            app=app,
            pieces=PIECES,
            it=it,
            n=Numbers(it),
            epoch=epoch,
            shown=shown,
            by_platform=_by_platform(epoch["metrics"], shown[-1]),
            last=len(it["epochs"]) - 1,
            path=f"/apps/{app}/rollouts/{rollout}/evidence",
            decisions=told,
            newest=None if before else next(iter(told["items"]), None),
            terms=_as_json(it["terms"]),
            checked=_checked(services, app, name, told["items"]),
            most=RECOMPUTED_ON_A_PAGE,
            charts={
                "against": e_bars(
                    "against", _weighed([epoch["metrics"][index] for index in shown[-1]])
                ),
                "over_time": _over_time(drawn, epoch["number"]),
                "free": crash_free_of(drawn, _FREE_POINTS),
            },
            newest_at=it["counted_at"],
        )

    return bp


def _never_judged(
    services: AdminServices, pages: Pages, visitor: Visitor, app: str, name: RolloutId
) -> Response:
    it = rollouts.body(services, app, name)
    return pages.show("evidence_none.html", visitor, app=app, it=it)


def _checked(
    services: AdminServices, app: str, name: RolloutId, told: Sequence[Body]
) -> Body | None:
    """Return whether the newest decision comes out of its log again, where that was asked."""
    asked = "check" in request.args and LIVE not in request.args  # once, not each second
    if not asked or not told or told[0]["log_size"] > RECOMPUTED_ON_A_PAGE:
        return None
    return studies.recomputed_body(services, app, name, told[0]["number"])


def _record(
    services: AdminServices,
    pages: Pages,
    visitor: Visitor,
    app: str,
    name: RolloutId,
    number: int,
) -> Response:
    """Show one decision with its record as JSON, which may be long."""
    part = Part(limit=1, cursor=number + 1)
    found = decisions.page_body(services, app, name, part)["items"]
    if not found or found[0]["number"] != number:
        raise NotFoundError("decision", str(number))
    record = _as_json(found[0])
    return pages.show(
        "decision.html",
        visitor,
        app=app,
        path=f"/apps/{app}/rollouts/{name}/evidence",
        each=found[0],
        record=record if len(record) <= _LONGEST_RECORD else None,
    )


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1)  # ASCII: no character in it does anything but stand there


def _shown(metrics: Sequence[Body]) -> list[int]:
    """Return which metrics are shown, in their order: of signatures those nearest to their limit.

    Anybody can make up a signature, and up to 200 are weighed.
    """
    signatures = [n for n, one in enumerate(metrics) if one["metric"].startswith(_SIGNATURE)]
    nearest = sorted(signatures, key=_distance(metrics))
    left_out = set(nearest[_MOST_SIGNATURES:])
    return [n for n in range(len(metrics)) if n not in left_out]


def _of_epochs(epochs: Sequence[Body]) -> list[list[int]]:
    """Return which metrics are shown of each epoch: of those that are over, the nearest."""
    over = [
        sorted(sorted(_shown(each["metrics"]), key=_distance(each["metrics"]))[:_MOST_OVER])
        for each in epochs[:-1]
    ]
    return [*over, _shown(epochs[-1]["metrics"])]


def _distance(metrics: Sequence[Body]) -> Callable[[int], float]:
    return lambda n: -metrics[n]["log_e"] / metrics[n]["needed"]


def _by_platform(metrics: Sequence[Body], shown: Sequence[int]) -> list[tuple[int, int]]:
    """Return which metrics on which platforms are shown, those nearest to their limit first."""
    nearest = sorted(shown, key=_distance(metrics))
    pairs = [(n, at) for n in nearest for at in range(len(metrics[n]["platforms"]))]
    return pairs[:_MOST_ON_PLATFORMS]


def _weighed(metrics: Sequence[Body]) -> list[Weighed]:
    return [
        Weighed(
            metric=each["metric"].replace("_", " "),
            log_e=each["log_e"],
            needed=each["needed"],
            weight=each["weight"],
            advisory=each["advisory"],
        )
        for each in metrics
    ]


def _over_time(drawn: Body, epoch: int) -> Chart:
    """Return the lines of the metrics that came nearest to their limits, in the present epoch."""
    points = [each for each in drawn["points"] if each["epoch"] == epoch]
    lines = [
        Line(
            metric=each["metric"].replace("_", " "),
            needed=each["needed"],
            weight=each["weight"],
            advisory=each["advisory"],
            points=[(unix(p["at"]), p["log_e"].get(each["metric"])) for p in points],
        )
        for each in drawn["metrics"]
    ]
    lines.sort(key=lambda line: -max((e or 0.0 for _, e in line.points), default=0.0) / line.needed)
    return e_lines("over-time", lines[:_MOST_LINES], size=Size(points=_POINTS))
