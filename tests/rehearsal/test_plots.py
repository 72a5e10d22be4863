"""Charts, and what is drawn of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from update_server.evidence.settings import STANDARD
from update_server.rehearsal.charts import Chart, Line, Mark, distribution, evidence, exposure
from update_server.rehearsal.outcome import Ending, Moment, Outcome, Sample
from update_server.rehearsal.svg import place, render_svg, ticks

SVG = "{http://www.w3.org/2000/svg}"


def a_story() -> Outcome:
    """Return a rollout of two days that was paused in the end."""
    samples = tuple(
        Sample(hours=h, exposed=h, crashed=h // 4, log_e={"crash": h / 10, "signature:a": 0.5})
        for h in range(1, 49)
    )
    moment = Moment(
        hours=48, verdict="pause", ring="10%", cause="crash", sentence="", exposed=48, crashed=12
    )
    return Outcome(
        ending=Ending.PAUSED, hours=48, exposed=48, crashed=12, bricked=0, moments=(moment,),
        passages=(), waits_for=(), ticks=1, facts=1, samples=samples,
    )  # fmt: skip


def test_exposure_is_drawn_with_the_verdicts() -> None:
    chart = exposure(a_story())

    assert [line.name for line in chart.lines] == ["on it", "crashed"]
    assert chart.marks == (Mark(name="pause", x=2.0),)
    assert chart.span() == ((0, 0), (2, 48))


def test_evidence_is_drawn_with_its_threshold_where_there_is_one() -> None:
    charts = evidence(a_story(), STANDARD)

    assert list(charts) == ["crash", "signature:a"]
    threshold = charts["crash"].lines[1]
    assert {round(y, 2) for _, y in threshold.points} == {5.81}
    assert [line.dashed for line in charts["crash"].lines] == [False, True]
    assert len(charts["signature:a"].lines) == 1


def test_a_distribution_climbs_to_the_share_that_was_stopped() -> None:
    chart = distribution([("bad", (24.0, 48.0), 4), ("good", (), 4)])

    bad, good = chart.lines
    assert list(bad.points) == [(0, 0), (1, 0), (1, 0.25), (2, 0.25), (2, 0.5), (2, 0.5)]
    assert list(good.points) == [(0, 0), (2, 0)]


def test_a_chart_is_a_picture_that_parses() -> None:
    chart = Chart(
        title="<a & b>",
        x_name="x",
        y_name="y",
        lines=(Line(name="l", points=((0, 0), (1, 5))), Line(name="none", points=(), dashed=True)),
        marks=(Mark(name="m", x=0.5),),
    )

    root = ET.fromstring(render_svg(chart))

    assert root.findtext(f"{SVG}title") == "<a & b>"
    assert len(root.findall(f"{SVG}polyline")) == 1
    texts = {each.text for each in root.findall(f"{SVG}text")}
    assert texts >= {"l", "none", "m", "x", "y", "0", "5"}


def test_points_lie_between_the_axes() -> None:
    chart = Chart(title="", x_name="", y_name="", lines=(Line(name="", points=((-1, 0), (3, 8))),))

    left, right = place(chart, (-1, 0)), place(chart, (3, 8))

    assert left[0] < right[0]
    assert left[1] > right[1]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 97, [0, 20, 40, 60, 80]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
        (0, 100_000, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high) == found
