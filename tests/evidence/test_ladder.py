"""The ladder file: what it may say, and where it is wrong when it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.documents import parse_ladder, render_ladder
from rollout.model import Step
from update_server.evidence.ladder import (
    LadderError,
    Terms,
    TermsError,
    parse_json_terms,
    parse_terms,
    spread_ramp,
)
from update_server.evidence.settings import STANDARD, Gate, May, Metric, Window

DAY = 86_400


def steps_of(text: str) -> tuple[Step, ...]:
    steps = parse_terms(text).steps
    assert steps is not None
    return steps


def refused(text: str) -> LadderError:
    with pytest.raises(LadderError) as caught:
        parse_terms(text)
    return caught.value


def exposures(steps: tuple[Step, ...]) -> list[int | None]:
    return [step.exposure_bp for step in steps]


# --- settings --------------------------------------------------------------------------------


def test_a_file_of_settings_alone_leaves_the_ramp_to_the_policy() -> None:
    terms = parse_terms("alpha = 0.005\n")

    assert terms == Terms(steps=None, settings=replace(STANDARD, alpha=0.005))


def test_a_file_of_steps_alone_is_judged_as_published() -> None:
    terms = parse_terms('[[step]]\nring = "half"\nexposure_bp = 5000\n')

    assert terms == Terms(steps=(Step(ring="half", exposure_bp=5_000),), settings=STANDARD)


def test_every_setting_can_be_written() -> None:
    settings = parse_terms(
        """
        alpha = 0.005
        automatic = ["pause", "hold"]
        minimum_installs = 5
        minimum_age = "3 d"
        minimum_check_ins = 0
        budget = 1
        network_cap = 0
        timeout = "72 h"
        timeout_promotes = true
        no_verdict_alert_soaks = 1
        offers_per_minute = 100
        pull_factor = 1000
        cohort = "90.5 s"
        outcome = "30min"
        unsafe_speed = 60
        [metrics]
        crash = 0.35
        funnel = 0
        [ceilings]
        crashed = 0.2
        [[measured]]
        name = "memory_mb"
        weight = 0.05
        """
    ).settings

    assert settings.automatic == {May.PAUSE, May.HOLD}
    assert (settings.minimum_age_seconds, settings.timeout_seconds) == (3 * DAY, 3 * DAY)
    assert (settings.cohort_seconds, settings.outcome_seconds) == (90.5, 1_800)
    assert (settings.pull_log_factor, settings.speed) == (1_000, 60)
    assert (settings.offers_per_minute, settings.network_cap) == (100, 0)
    assert (settings.weights[Metric.CRASH], settings.weights[Metric.FUNNEL]) == (0.35, 0)
    assert settings.weights[Metric.SILENCE] == STANDARD.weights[Metric.SILENCE]
    assert [measured.name for measured in settings.measured] == ["memory_mb"]
    assert settings.ceilings == replace(STANDARD.ceilings, crashed=0.2)


def test_gates_are_written_with_what_differs() -> None:
    text = "[[gates]]\nup_to_bp = 500\nmargin = 2\n[[gates]]\nup_to_bp = 10000\nsilence = 0.02\n"

    assert parse_terms(text).settings.gates == (
        Gate(up_to_bp=500, margin=2.0, silence=0.05),
        Gate(up_to_bp=10_000, margin=1.25, silence=0.02),
    )


def test_windows_are_written_as_days_and_hours() -> None:
    text = (
        '[[windows]]\ndays = ["mon", "sun"]\nfrom = "9:00"\nto = "17:00"\ntimezone = "-02:30"\n'
        '[[windows]]\nto = "24:00"\ntimezone = "+14:00"\n'
    )

    assert parse_terms(text).settings.windows == (
        Window(weekdays=frozenset({0, 6}), from_hour=9, to_hour=17, utc_offset_minutes=-150),
        Window(utc_offset_minutes=840),
    )


# --- steps -----------------------------------------------------------------------------------


def test_a_step_says_what_it_always_said_and_its_soak_in_words() -> None:
    text = (
        '[[step]]\nring = "internal"\nsoak_seconds = 60\n'
        '[[step]]\nring = "all"\nexposure_bp = 9800\nholdback_bp = 200\n'
        'soak = "14 d"\napprovals = 2\n'
    )

    assert steps_of(text) == (
        Step(ring="internal", soak_seconds=60),
        Step(ring="all", exposure_bp=9_800, holdback_bp=200, soak_seconds=14 * DAY, approvals=2),
    )


def test_a_steps_own_gate_is_that_of_its_exposure_and_of_no_other() -> None:
    text = (
        '[[step]]\nring = "a"\nexposure_bp = 200\n'
        '[[step]]\nring = "b"\nexposure_bp = 300\nmargin = 1.5\nsilence = 0.3\n'
        '[[step]]\nring = "c"\nexposure_bp = 2000\nsilence = 0.1\n'
    )

    settings = parse_terms(text).settings

    assert settings.gate_for(200) == replace(STANDARD.gate_for(200), up_to_bp=200)
    assert settings.gate_for(300) == Gate(up_to_bp=300, margin=1.5, silence=0.3)
    assert settings.gate_for(2_000) == Gate(up_to_bp=2_000, margin=1.5, silence=0.1)
    assert settings.gate_for(5_000) == STANDARD.gate_for(5_000)
    assert settings.gate_for(10_000) == STANDARD.gate_for(10_000)


def test_steps_of_one_exposure_share_a_gate() -> None:
    text = (
        '[[step]]\nring = "a"\nexposure_bp = 10000\nholdback_bp = 200\nmargin = 2\n'
        '[[step]]\nring = "b"\nexposure_bp = 10000\n'
    )

    assert parse_terms(text).settings.gates == (Gate(up_to_bp=10_000, margin=2.0, silence=0.01),)
    error = refused(text + "margin = 3\n")
    assert (error.path, error.line) == ("step[1].margin", 9)
    assert refused(text + "silence = 0.1\n").path == "step[1].silence"
    assert parse_terms(text + "margin = 2\n") == parse_terms(text)


def test_a_linear_ramp_grows_by_the_hour() -> None:
    text = (
        '[[step]]\nring = "1%"\nexposure_bp = 100\nsoak = "24 h"\n'
        '[[step]]\nring = "10%"\nexposure_bp = 1000\nsoak = "72 h"\napprovals = 1\n'
        'schedule = "linear"\nover = "8 h"\n'
    )

    terms = parse_terms(text)
    first, *ramp, last = terms.steps or ()

    assert exposures(tuple(ramp)) == [200, 300, 400, 500, 600, 700, 800, 900]
    assert {(step.ring, step.soak_seconds) for step in ramp} == {("10%", 3_600)}
    assert [step.approvals for step in ramp] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert first == Step(ring="1%", exposure_bp=100, soak_seconds=DAY)
    assert last == Step(ring="10%", exposure_bp=1_000, soak_seconds=3 * DAY)
    # On the way it is asked for what opened the ramp; beyond it for what its end asks.
    assert {terms.settings.gate_for(step.exposure_bp or 0).margin for step in ramp} == {3.0}
    assert terms.settings.gate_for(1_000) == STANDARD.gate_for(1_000)


def test_a_geometric_ramp_grows_by_the_same_factor() -> None:
    text = (
        '[[step]]\nring = "all"\nexposure_bp = 1600\nschedule = "geometric"\n'
        'over = "3 h"\nfrom_bp = 100\nmargin = 1.5\n'
    )

    terms = parse_terms(text)

    assert exposures(terms.steps or ()) == [200, 400, 800, 1_600]
    assert [terms.settings.gate_for(bp).margin for bp in (800, 1_600)] == [3.0, 1.5]


def test_a_long_ramp_has_longer_steps_and_a_narrow_one_fewer() -> None:
    step = '[[step]]\nring = "a"\nexposure_bp = {}\nschedule = "linear"\nover = "{}"\n'

    long, narrow, none = (
        steps_of(step.format(*each)) for each in ((5_000, "12 d"), (3, "24 h"), (1, "1 h"))
    )

    assert (len(long), long[0].soak_seconds) == (25, 12 * 3_600)
    assert (exposures(narrow), narrow[0].soak_seconds) == ([1, 2, 3], 12 * 3_600)
    assert exposures(none) == [1]


def test_the_first_ramp_begins_with_nobody_and_with_the_first_gate() -> None:
    text = '[[step]]\nring = "a"\nexposure_bp = 4000\nschedule = "linear"\nover = "60 s"\n'

    terms = parse_terms(text)

    assert exposures(terms.steps or ()) == [2_000, 4_000]
    assert terms.settings.gate_for(2_000).margin == 3.0


RAMPS = st.tuples(
    st.sampled_from(["linear", "geometric"]),
    st.integers(1, 9_999),
    st.integers(1, 9_999),
    st.integers(60, 5_000_000),
)


@given(RAMPS)
def test_any_ramp_is_a_ladder_that_grows_and_takes_its_time(
    ramp: tuple[str, int, int, int],
) -> None:
    schedule, low, more, over = ramp
    high = min(10_000, low + more)
    text = (
        f'[[step]]\nring = "a"\nexposure_bp = {high}\nschedule = "{schedule}"\n'
        f'over = "{over} s"\nfrom_bp = {low}\n'
    )

    steps = steps_of(text)
    shares = [step.exposure_bp or 0 for step in steps]

    assert shares == sorted(set(shares))
    assert low < shares[0] <= shares[-1] == high
    assert len(steps) <= 25
    if len(steps) > 1:
        assert over <= sum(step.soak_seconds for step in steps) < over + len(steps)
    assert parse_ladder(render_ladder(steps)) == steps


def test_a_policys_ramp_is_written_alike_but_has_no_gates() -> None:
    step: dict[str, Any] = {"ring": "a", "exposure_bp": 300, "schedule": "linear", "over": "2 h"}

    assert exposures(spread_ramp([step])) == [100, 200, 300]
    for name, value in (("margin", 2), ("silence", 0.1)):
        with pytest.raises(TermsError) as caught:
            spread_ramp([{**step, name: value}])
        assert caught.value.where == f"step[0].{name}"


# --- what is wrong ---------------------------------------------------------------------------

STEP = '[[step]]\nring = "a"\nexposure_bp = 100\n'
LINEAR = STEP + 'schedule = "linear"\nover = "2 h"\n'


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("", "", 1),
        ("# nothing\n", "", 1),
        ("alpha = \n", "", 1),
        ("alpha = 0.01\n\nalpha = 0.02\n", "", 3),
        ("automatic = [\n", "", 2),
        ("a = " + "[" * 5_000, "", 1),
        ("alpha = 0.01\nalhpa = 0.01\n", "alhpa", 2),
        ('\nalpha = "0.01"\n', "alpha", 2),
        ('automatic = [\n  "pause",\n  "push",\n]\n', "automatic[1]", 3),
        ("minimum_check_ins = 11\n", "minimum_check_ins", 1),
        ("minimum_age = 7\n", "minimum_age", 1),
        ('minimum_age = "7 weeks"\n', "minimum_age", 1),
        ('timeout = "0 s"\n', "timeout", 1),
        ("speed = 2\n", "speed", 1),
        ("[metrics]\nsilence = 0.2\ncrash = 0.4\n", "metrics", 1),
        ("[metrics]\nsilnce = 0.2\n", "metrics.silnce", 2),
        ('[[measured]]\nname = "a"\n\n[[measured]]\n', "measured[0].weight", 1),
        ('[[measured]]\nname = "a"\nweight = 0\n[[measured]]\n', "measured[1].name", 4),
        ("[[gates]]\nup_to_bp = 100\nmargin = 4\n", "gates[0].margin", 3),
        ("[[gates]]\nup_to_bp = 100\n", "gates", 1),
        ("gates = [\n" + "{ up_to_bp = 1 },\n" * 17 + "]\n", "gates", 1),
        ('[[windows]]\ndays = ["mon",\n"moon"]\n', "windows[0].days[1]", 3),
        ('[[windows]]\nfrom = "22:00"\nto = "06:00"\n', "windows[0].to", 3),
        ('[[windows]]\nfrom = "22:30"\n', "windows[0].from", 2),
        ("[[windows]]\nfrom = 22\n", "windows[0].from", 2),
        ('[[windows]]\ntimezone = "Europe/Berlin"\n', "windows[0].timezone", 2),
        ('[[windows]]\ntimezone = "+14:30"\n', "windows[0].timezone", 2),
        ("[[windows]]\nweekdays = [1]\n", "windows[0].weekdays", 2),
        ("step = 1", "step", 1),
        ("step = []", "step", 1),
        ("[[step]]\n", "step[0].ring", 1),
        ('[[step]]\nring = "\N{SNOWMAN}"\n', "step[0].ring", 2),
        (STEP + '\n[[step]]\nring = "b"\nexposure_bp = 99\n', "step[1].exposure_bp", 7),
        (STEP + "soak_second = 1\n", "step[0].soak_second", 4),
        (STEP + 'soak = "1 h"\nsoak_seconds = 3600\n', "step[0].soak_seconds", 5),
        (STEP + 'soak = "1 month"\n', "step[0].soak", 4),
        (STEP + "soak_seconds = 1.5\n", "step[0].soak_seconds", 4),
        (STEP + "approvals = 17\n", "step[0].approvals", 4),
        (STEP + "margin = 1.3\n", "step[0].margin", 4),
        (STEP + "silence = 1\n", "step[0].silence", 4),
        (STEP + 'schedule = "random"\n', "step[0].schedule", 4),
        (STEP + 'schedule = "linear"\n', "step[0].over", 1),
        (STEP + 'schedule = "linear"\nover = "1 s"\n', "step[0].over", 5),
        (STEP + 'over = "1 h"\n', "step[0].over", 4),
        (STEP + "from_bp = 10\n", "step[0].from_bp", 4),
        (LINEAR + "from_bp = 100\n", "step[0].from_bp", 6),
        (LINEAR.replace("linear", "geometric"), "step[0].from_bp", 1),
        (STEP + '[[step]]\nring = "b"\nexposure_bp = 200\nschedule = "linear"\nover = "2 h"\n'
         "from_bp = 99\n", "step[1].from_bp", 9),
        ('[[step]]\nring = "a"\nmargin = 2\n', "step[0].margin", 3),
        ('[[step]]\nring = "a"\nschedule = "step"\n', "step[0].schedule", 3),
        ('[[step]]\nring = "a"\nbucket = 2\n', "step[0].bucket", 3),
        (STEP * 65, "step", 1),
        ("".join(STEP.replace("100", f"{1000 * i}") + 'schedule = "linear"\nover = "1 d"\n'
                 for i in (1, 2, 3)), "step[2].ring", 12),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text: str, path: str, line: int) -> None:
    error = refused(text)

    assert (error.path, error.line) == (path, line)
    assert str(error).startswith(f"line {line}: {path}")


def test_a_text_that_is_no_toml_is_told_where_once() -> None:
    assert str(refused("a = 1\nb = = 2\n")) == "line 2: Invalid value"


# --- JSON ------------------------------------------------------------------------------------


def test_json_says_the_same_or_lists_steps() -> None:
    step = Step(ring="all", exposure_bp=10_000)

    assert parse_json_terms('[{"ring": "all", "exposure_bp": 10000}]').steps == (step,)
    assert parse_json_terms('{"alpha": 0.02}') == parse_terms("alpha = 0.02")
    shown = '[{"ring": "internal", "exposure_bp": null, "soak_seconds": 60}]'
    assert parse_json_terms(shown).steps == (Step(ring="internal", soak_seconds=60),)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("{\n", "", 2),
        ("[]", "step", None),
        ("5", "", None),
        ("{}", "", None),
        ("[" * 200_000, "", None),
        ('[{"ring": 5}]', "step[0].ring", None),
    ],
)
def test_what_is_wrong_in_json_is_named(text: str, path: str, line: int | None) -> None:
    with pytest.raises(LadderError) as caught:
        parse_json_terms(text)

    assert (caught.value.path, caught.value.line) == (path, line)
