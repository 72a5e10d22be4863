"""Charts: their text to the letter, their twins, and whatever numbers and names they are given.

``python -m tests.dashboard.charts.write`` writes the golden text anew.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.charts.examples import DAY, HOUR, T, crashed, examples
from update_server.web.dashboard.charts import (
    Chart,
    Crashed,
    Day,
    Hour,
    Line,
    Mark,
    Size,
    Step,
    Waited,
    Weighed,
    arrivals,
    crash_free,
    e_bars,
    e_lines,
    funnel,
    silence,
    sparkline,
    versions,
)
from update_server.web.dashboard.charts.frame import thinned

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
DASH = "\N{EN DASH}"
HOSTILE = '"><script>alert(1)</script>&\u202e\x00\n' + "A" * 10_000


@pytest.mark.parametrize("name", examples())
def test_a_chart_is_this_text_and_no_other(name: str) -> None:
    assert examples()[name].svg == (GOLDEN / f"{name}.svg").read_text().rstrip("\n")


@pytest.mark.parametrize("name", examples())
def test_a_chart_is_named_described_and_styled_by_classes_only(name: str) -> None:
    chart = examples()[name]

    root = well_formed(chart)

    names = root.attrib["aria-labelledby"].split()
    ids = {each.attrib["id"]: each.text for each in root.iter() if "id" in each.attrib}
    assert root.attrib["role"] == "img"
    assert all(ids[each] for each in names)
    assert not [each for each in root.iter() if {"style", "onclick", "href"} & set(each.attrib)]


@pytest.mark.parametrize("name", examples())
def test_no_share_stands_in_a_chart_without_both_its_numbers(name: str) -> None:
    written = [each.text or "" for each in well_formed(examples()[name]).iter(f"{SVG}text")]

    assert not [each for each in written if "%" in each and each != "10%"]


def test_the_twin_of_crash_free_installs_has_the_numbers_that_are_drawn() -> None:
    chart = examples()["crash-free"]

    assert chart.columns == (
        "time", "arm", "crashed", "at risk", "crashed of these", "95 % interval"
    )  # fmt: skip
    assert chart.rows[0] == (
        "2026-11-19 00:00", "candidate", "0", "12", "too few to say", "0.00 % to 31.00 %"
    )  # fmt: skip
    assert chart.rows[4] == ("2026-11-19 02:00", "candidate", DASH, DASH, DASH, DASH)
    assert (
        "2026-11-19 04:00", "control", "176", "35,100", "0.50 %", "0.41 % to 0.61 %"
    ) in chart.rows  # fmt: skip
    assert ">99.56<" in chart.svg  # the last control point: 2 of 450
    assert "2 of 450 control installs crashed." in chart.svg


def test_with_few_candidates_the_interval_is_drawn_and_the_point_is_grey() -> None:
    chart = examples()["few"]

    root = well_formed(chart)

    assert [each.attrib["class"] for each in root.iter(f"{SVG}circle")] == ["control", "few"]
    assert "whisker candidate" in chart.svg
    assert "too few to say" in chart.svg


def test_a_line_ends_where_nothing_is_known_and_where_counting_began_anew() -> None:
    series = [crashed(n, 1, 100, 0.0, 0.1) for n in range(6)]
    series[2] = crashed(2, 0, 0, 0.0, 1.0)
    series[5] = crashed(5, 1, 100, 0.0, 0.1, epoch=2)

    root = well_formed(crash_free("x", series, []))

    lines = [each for each in root.iter(f"{SVG}path") if each.get("class") == "line candidate"]
    gaps = [each for each in root.iter(f"{SVG}rect") if each.get("class") == "gap"]
    assert [each.attrib["d"].count("L") for each in lines] == [1, 1]
    assert len(gaps) == 1


def test_the_twins_of_the_e_values_have_e_value_limit_weight_and_gate() -> None:
    bars, lines = examples()["e-bars"], examples()["e-lines"]

    assert bars.rows[0] == (
        "crash", "2,165", "333", "0.3", "0.1 of 20 that it is not 2 times worse"
    )  # fmt: skip
    assert ("score:startup_ms (advisory)", DASH, "1,998", "0.05", DASH) in bars.rows
    assert "2,165 of 333" in bars.svg
    assert lines.rows[3] == ("2026-11-19 03:00", "crash", DASH, "333", "0.3", DASH)
    assert lines.rows[8][:3] == ("2026-11-19 08:00", "crash", "1,808")


def test_an_advisory_metric_is_never_drawn_as_one_that_pauses() -> None:
    loud = Weighed(metric="score:x", log_e=20.0, needed=5.0, weight=0.1, advisory=True)

    assert "reached" not in e_bars("x", [loud]).svg


def test_metrics_beyond_those_that_are_drawn_stand_in_the_table() -> None:
    metrics = [Weighed(metric=f"m{n}", log_e=n / 10, needed=6.0, weight=0.1) for n in range(20)]
    lines = [Line(metric=e.metric, needed=6.0, weight=0.1, points=[(T, e.log_e)]) for e in metrics]

    bars, over_time = e_bars("x", metrics), e_lines("y", lines)

    assert ">m8<" in bars.svg
    assert ">m7<" not in bars.svg
    assert len(bars.rows) == len(over_time.rows) == 20
    assert ">m16<" in over_time.svg
    assert ">m15<" not in over_time.svg


def test_the_twins_of_the_rest_have_counts_with_what_they_are_of() -> None:
    charts = examples()

    assert charts["funnel"].rows[1] == (
        "downloaded", "3,655", "93.7 % (3,655 of 3,900)", "93.7 % (3,655 of 3,900)"
    )  # fmt: skip
    assert charts["funnel"].rows[4][1] == DASH
    assert charts["silence"].rows[:2] == (
        ("silence, linux-x86_64", "candidate", "3,011", "12", "0.4 % (12 of 3,011)"),
        ("silence, linux-x86_64", "control", "27,240", "103", "0.4 % (103 of 27,240)"),
    )
    assert charts["silence"].rows[2][4] == "3 of 11: too few to say"
    assert charts["sparkline"].columns == ("hour", "candidates of 3,900", "controls of 35,100")
    assert charts["sparkline"].rows[2] == ("2026-11-19 02:00", DASH, DASH)
    assert charts["versions"].rows[0] == ("2026-11-19", "2.3.9", "900", "90.0 % (900 of 1,000)")
    assert ("2026-11-21", DASH, DASH, DASH) in charts["versions"].rows
    assert ("2026-11-22", "others", "7", "0.7 % (7 of 974)") in charts["versions"].rows
    assert charts["arrivals"].rows[1] == ("2026-11-19 00:00", "session", "120", "4", "1.5")


def test_a_day_without_a_count_is_hatched_and_never_nothing() -> None:
    days = [Day(at=T + n * DAY, installs={"1.0": 9}) for n in (0, 1, 4, 5)]

    root = well_formed(versions("x", days))

    gaps = [each for each in root.iter(f"{SVG}rect") if each.get("class") == "gap"]
    layers = [each for each in root.iter(f"{SVG}path") if "layer" in each.get("class", "")]
    assert len(gaps) == 1
    assert len(layers) == 2


def test_long_series_are_thinned_and_keep_their_last_point() -> None:
    assert len(thinned(range(1_001), 200)) <= 200
    assert thinned(range(1_001), 200)[-1] == 1_000
    assert thinned([1, 2], 200) == [1, 2]

    hours = [Hour(at=T + n * HOUR, candidate=1, control=1) for n in range(999)]
    minutes = [Step(at=T + 60 * n, kind="crash", events=1) for n in range(999)]
    assert len(sparkline("x", hours, title="t", at_risk=(1, 1)).rows) <= 200
    thin = arrivals("y", minutes, step_seconds=60)
    assert len(thin.rows) <= 200
    assert sum(int(row[2]) for row in thin.rows) == 999
    assert "events in 5 min" in thin.svg
    days = [Step(at=T + DAY * n, kind="crash", events=1) for n in range(2)]
    assert "events in 24.0 h" in arrivals("z", days, step_seconds=DAY).svg


def test_the_axis_of_a_demonstration_has_seconds() -> None:
    series = [crashed(n / 3_600, 0, 100, 0.0, 0.1) for n in range(21)]

    chart = crash_free("x", series, [])

    assert ">00:00:15<" in chart.svg
    assert ">00:00:10<" not in chart.svg  # there is no room for more
    assert [row[0] for row in chart.rows[:2]] == ["2026-11-19 00:00", "2026-11-19 00:00:01"]


@pytest.mark.parametrize("chart_id", ["", "A", "a b", 'a"', "1a", "a" * 65])
def test_an_id_that_could_break_out_of_its_attribute_is_refused(chart_id: str) -> None:
    with pytest.raises(ValueError, match="id of a chart"):
        funnel(chart_id, [])


def test_names_that_strangers_chose_stay_text() -> None:
    point = crashed(0, 1, 100, 0.0, 0.1)
    charts = [
        crash_free("a", [point], [], marks=[Mark(at=T, label=HOSTILE)]),
        e_bars("b", [Weighed(metric=HOSTILE, log_e=1, needed=6, weight=0.1, gate=HOSTILE)]),
        e_lines("c", [Line(metric=HOSTILE, needed=6, weight=0.1, points=[(T, 1.0)])]),
        funnel("d", [(HOSTILE, 1)]),
        silence("e", [Waited(stratum=HOSTILE, silent=1, matured=2, silent_control=1,
                             matured_control=2)]),
        sparkline("f", [], title=HOSTILE, at_risk=(1, 1)),
        versions("g", [Day(at=T, installs={HOSTILE: 3})]),
        arrivals("h", [Step(at=T, kind=HOSTILE, events=1)], step_seconds=60),
    ]  # fmt: skip

    for chart in charts:
        root = well_formed(chart)
        assert not list(root.iter(f"{SVG}script"))
        assert "\u202e" not in chart.svg
        assert len(chart.svg) < 10_000
        assert all("\u202e" not in cell and len(cell) < 600 for row in chart.rows for cell in row)


# --- whatever numbers they are given ---------------------------------------------------------

ANY = st.floats(allow_nan=True, allow_infinity=True)
INSTANTS = st.one_of(ANY, st.floats(T, T + 400 * DAY))
COUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**30))
NAMES = st.text(max_size=12)
SIZES = st.builds(
    Size, width=st.integers(300, 1_280), height=st.integers(120, 400), points=st.integers(2, 200)
)


@st.composite
def crashed_points(draw: st.DrawFn) -> Crashed:
    n = draw(COUNTS)
    return Crashed(
        at=draw(INSTANTS),
        crashed=draw(st.integers(0, max(n, 1))),
        of=n,
        low=draw(st.one_of(ANY, st.floats(0, 1))),
        high=draw(st.one_of(ANY, st.floats(0, 1))),
        epoch=draw(st.integers(1, 2)),
    )


POINTS = st.lists(crashed_points(), max_size=12)


@given(POINTS, POINTS, st.lists(st.tuples(INSTANTS, INSTANTS), max_size=3), ANY, SIZES)
def test_crash_free_installs_stay_in_their_box(
    candidate: list[Crashed],
    control: list[Crashed],
    gaps: list[tuple[float, float]],
    mark: float,
    size: Size,
) -> None:
    marks = [Mark(at=mark, label="x")]

    inside(crash_free("x", candidate, control, marks=marks, gaps=gaps, size=size))


@given(st.lists(st.tuples(NAMES, st.none() | ANY, ANY, ANY, st.booleans()), max_size=14), SIZES)
def test_bars_of_e_values_stay_in_their_box(
    metrics: list[tuple[str, float | None, float, float, bool]], size: Size
) -> None:
    weighed = [
        Weighed(metric=name, log_e=log_e, needed=needed, weight=weight, advisory=advisory)
        for name, log_e, needed, weight, advisory in metrics
    ]

    inside(e_bars("x", weighed, size=size))


@given(
    st.lists(
        st.tuples(NAMES, ANY, st.lists(st.tuples(INSTANTS, st.none() | ANY), max_size=9)),
        max_size=6,
    ),
    SIZES,
)
def test_lines_of_e_values_stay_in_their_box(
    series: list[tuple[str, float, list[tuple[float, float | None]]]], size: Size
) -> None:
    lines = [Line(metric=name, needed=n, weight=0.1, points=p) for name, n, p in series]

    inside(e_lines("x", lines, size=size))


@given(st.lists(st.tuples(NAMES, st.none() | COUNTS), max_size=8), SIZES)
def test_a_funnel_stays_in_its_box(steps: list[tuple[str, int | None]], size: Size) -> None:
    inside(funnel("x", steps, size=size))


@given(st.lists(st.tuples(NAMES, COUNTS, COUNTS, COUNTS, COUNTS), max_size=5), SIZES)
def test_silence_stays_in_its_box(strata: list[tuple[str, int, int, int, int]], size: Size) -> None:
    waited = [
        Waited(stratum=name, silent=a, matured=b, silent_control=c, matured_control=d)
        for name, a, b, c, d in strata
    ]

    inside(silence("x", waited, size=size))


@given(st.lists(st.tuples(INSTANTS, st.none() | COUNTS, st.none() | COUNTS), max_size=9))
def test_a_sparkline_stays_in_its_box(hours: list[tuple[float, int | None, int | None]]) -> None:
    told = [Hour(at=at, candidate=a, control=b) for at, a, b in hours]

    inside(sparkline("x", told, title="t", at_risk=(0, 0)))


@given(
    st.lists(
        st.tuples(INSTANTS, st.none() | st.dictionaries(NAMES, COUNTS, max_size=8)), max_size=9
    ),
    SIZES,
)
def test_versions_stay_in_their_box(
    days: list[tuple[float, dict[str, int] | None]], size: Size
) -> None:
    inside(versions("x", [Day(at=at, installs=installs) for at, installs in days], size=size))


@given(st.lists(st.tuples(INSTANTS, NAMES, COUNTS, COUNTS, ANY), max_size=9), ANY, SIZES)
def test_arrivals_stay_in_their_box(
    steps: list[tuple[float, str, int, int, float]], step_seconds: float, size: Size
) -> None:
    told = [
        Step(at=at, kind=kind, events=n, rejected=m, late_seconds=late)
        for at, kind, n, m, late in steps
    ]

    inside(arrivals("x", told, step_seconds=step_seconds, size=size))


def well_formed(chart: Chart) -> ET.Element:
    named = chart.svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    root = ET.fromstring(named)
    assert all(len(row) == len(chart.columns) for row in chart.rows)
    return root


def inside(chart: Chart) -> None:
    """Assert that all that is drawn has its coordinates in the box."""
    root = well_formed(chart)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    hatches = {path for pattern in root.iter(f"{SVG}pattern") for path in pattern}
    for each in root.iter():
        if each in hatches or each.tag == f"{SVG}pattern":
            continue
        at = each.attrib
        xs = [float(at[name]) for name in ("x", "cx") if name in at]
        ys = [float(at[name]) for name in ("y", "cy") if name in at]
        if "width" in at:
            xs.append(xs[0] + float(at["width"]))
            ys.append(ys[0] + float(at["height"]))
        if each.tag == f"{SVG}path":
            path_xs, path_ys = through(at["d"])
            xs += path_xs
            ys += path_ys
        assert all(math.isfinite(x) and -0.1 <= x <= width + 0.1 for x in xs)
        assert all(math.isfinite(y) and -0.1 <= y <= height + 0.1 for y in ys)


def through(shape: str) -> tuple[list[float], list[float]]:
    xs, ys = [], []
    for command, told in re.findall(r"([MLHVZ])([^MLHVZ]*)", shape):
        numbers = [float(each) for each in NUMBER.findall(told)]
        if command in "ML":
            xs.append(numbers[0])
            ys.append(numbers[1])
        elif command == "H":
            xs += numbers
        else:
            ys += numbers
    return xs, ys
