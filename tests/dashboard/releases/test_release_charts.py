from __future__ import annotations

from typing import Any

from update_server.web.dashboard.views.release_charts import crash_free_of, hours_of, weighed

AT = "2026-11-20T03:00:00Z"


def a_signature(name: str) -> dict[str, Any]:
    return {
        "signature": name,
        "title": f"Crash {name}",
        "of": {"candidate": 3_900, "control": 35_100},
    }


def a_series(**hours: list[dict[str, Any]]) -> dict[str, Any]:
    signatures = [{"signature": name, "hours": found} for name, found in hours.items()]
    return {"crashes": {"signatures": signatures}}


def a_point(at: str, **changes: Any) -> dict[str, Any]:
    arm = {"crashed": 4, "installs": 900, "share_interval_95": [0.001, 0.01]}
    known = {"at": at, "ring": "1%", "epoch": 1, "verdict": None}
    return {**known, "candidate": arm, "control": arm, **changes}


def test_hours_are_drawn_of_the_crashes_that_have_some() -> None:
    told = {"signatures": [a_signature("a"), a_signature("b"), a_signature("c")]}
    hour = {"at": AT, "candidate": 3, "control": 1, "internal": 0}

    drawn = hours_of(told, a_series(a=[hour], b=[]))

    assert list(drawn) == ["a"]
    assert drawn["a"].columns == ("hour", "candidates of 3,900", "controls of 35,100")
    assert drawn["a"].rows == (("2026-11-20 03:00", "3", "1"),)


def test_no_more_hours_are_drawn_than_fit_a_page() -> None:
    names = [chr(ord("a") + n) for n in range(9)]
    hour = {"at": AT, "candidate": 3, "control": 1}
    told = {"signatures": [a_signature(name) for name in names]}

    assert list(hours_of(told, a_series(**{name: [hour] for name in names}))) == names[:5]


def test_rings_and_stops_are_marked_and_a_point_of_nobody_is_no_zero() -> None:
    nobody = {"crashed": None, "installs": None, "share_interval_95": [None, None]}
    points = [
        a_point("2026-11-20T03:00:00Z"),
        a_point("2026-11-20T04:00:00Z", ring="10%"),
        a_point("2026-11-20T05:00:00Z", ring="10%", candidate=nobody),
        a_point("2026-11-20T06:00:00Z", ring="10%", verdict="pause"),
    ]

    chart = crash_free_of({"points": points, "gaps": []}, 30)

    assert ">10%</text>" in chart.svg
    assert ">pause</text>" in chart.svg
    unknown = [row for row in chart.rows if row[:2] == ("2026-11-20 05:00", "candidate")]
    assert unknown == [("2026-11-20 05:00", "candidate", "–", "–", "–", "–")]  # noqa: RUF001


def test_a_crash_is_called_by_its_title_among_what_is_weighed() -> None:
    told = {"log_e": 2.0, "needed": 9.9, "weight": 0.1}

    found = weighed({"signature:a": told, "signature:b": told}, [a_signature("a")])

    assert [each.metric for each in found] == ["Crash a", "signature:b"]


def test_a_metric_without_a_limit_is_not_weighed() -> None:
    found = weighed(
        {
            "crash": {"log_e": 2.0, "needed": 5.8, "weight": 0.3},
            "funnel:download": {"log_e": None, "needed": None, "weight": 0.01},
        }
    )

    assert [(each.metric, each.needed) for each in found] == [("crash", 5.8)]
