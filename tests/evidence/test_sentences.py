from __future__ import annotations

from dataclasses import replace
from math import inf, log
from typing import Any

import pytest

from tests.judge_world import a_bad_world, a_terrible_world, a_world
from update_server.evidence import sentences, words
from update_server.evidence.findings import Finding
from update_server.evidence.records import describe
from update_server.evidence.sentences import Told
from update_server.evidence.settings import DAY, HOUR, Metric
from update_server.evidence.state import OneArm
from update_server.evidence.verdicts import Names, NoVerdict, Verdict

TOLD = Told(
    version="4.2.0",
    previous="4.1.9",
    ring="10%",
    hours=7,
    k_candidate=44,
    n_candidate=3_900,
    k_control=176,
    n_control=35_100,
)


def test_the_published_pause_is_told_word_for_word() -> None:
    assert a_bad_world().judge().record["sentence"] == (
        "Paused 4.2.0 at ring 10 % after 7 h: 44 of 3,900 installs offered it crashed against 176 "
        "of 35,100 held back on 4.1.9, about 2.2 times as often (95 % interval 1.2 to 4.0, valid "
        "however often we looked). Evidence this strong (e-value 2,160; crashes pause at 333) "
        "would ever appear for fewer than 1 harmless release in 100. Undoing it takes at least 3 "
        "false reports among the 44."
    )


def test_a_pull_is_told() -> None:
    assert a_terrible_world().judge().record["sentence"] == (
        "Pulled 4.2.0 at ring 10 % after 7 h: 60 of 3,900 installs offered it crashed against 100 "
        "of 35,100 held back on 4.1.9, at least 2.8 times as often. Installs on it are being "
        "given 4.1.9. Undoing this would take 33 false reports."
    )


def test_a_pull_for_silence_has_no_ratio() -> None:
    told = sentences.pulled(
        TOLD, Metric.SILENCE, lower=None, is_odds=False, replacement="", margin=1
    )

    assert told == (
        "Pulled 4.2.0 at ring 10 % after 7 h: 44 of 3,900 installs offered it have not come back "
        "within their usual time, against 176 of 35,100 held back. Installs on it are being given "
        "the version before. Undoing this would take 1 false report."
    )


def test_silence_is_told() -> None:
    world = a_world()
    world.can_pull = False
    world.cohort(20, 18, 20, 180, metric=Metric.SILENCE)

    assert world.judge().record["sentence"] == (
        "Paused 4.2.0: 20 of 20 installs offered it have not come back within their usual time, "
        "against 18 of 180 held back. They sent no crash report; that is the point."
    )


def test_failed_first_launches_are_told_as_odds() -> None:
    world = a_world()
    world.can_pull = False
    world.cohort(9, 3, 20, 180, times=2)

    told = world.judge().record["sentence"]

    assert told.startswith(
        "Paused 4.2.0 at ring 10 % after 7 h: 18 of 40 installs offered it had no healthy launch "
        "within 24 h against 6 of 360 held back on 4.1.9, about "
    )
    assert " times the odds (95 % interval " in told
    assert "; failed first launches pause at 667) would" in told


def test_an_interval_without_an_end_is_told() -> None:
    told = sentences.paused(
        replace(TOLD, previous="", hours=0.75),
        Metric.CRASH_LOOP,
        ratio=1_024.0,
        interval=(362.0, inf),
        is_odds=False,
        log_e=100.0,
        needed=log(1_000),
        alpha=0.01,
        margin=1,
    )

    assert told == (
        "Paused 4.2.0 at ring 10 % after 0.8 h: 44 of 3,900 installs offered it crashed three "
        "times within 24 h against 176 of 35,100 held back, about 1,024 times as often (95 % "
        "interval from 362 up, valid however often we looked). Evidence this strong (e-value "
        "10^43; crash loops pause at 1,000) would ever appear for fewer than 1 harmless release "
        "in 100. Undoing it takes at least 1 false report among the 44."
    )


def test_a_signature_is_named() -> None:
    told = sentences.paused(
        TOLD,
        "signature:SIGSEGV gpu::Flush",
        ratio=20.0,
        interval=(4.0, 90.0),
        is_odds=False,
        log_e=9.0,
        needed=log(2_000),
        alpha=0.01,
        margin=3,
    )

    assert 'installs offered it had the new crash "SIGSEGV gpu::Flush" against' in told
    assert "crashes of this kind pause at 2,000" in told


def test_a_measured_metric_has_no_ratio() -> None:
    told = sentences.paused(
        TOLD,
        "score:startup_ms",
        ratio=None,
        interval=None,
        is_odds=False,
        log_e=9.0,
        needed=log(2_000),
        alpha=0.01,
        margin=3,
    )

    assert told.startswith(
        "Paused 4.2.0 at ring 10 % after 7 h: 44 of 3,900 installs offered it had a startup_ms "
        "worse than 9 of 10 before against 176 of 35,100 held back on 4.1.9. Evidence"
    )


def test_withdrawn_reports_contest_a_pause() -> None:
    told = sentences.contested(paused_at="03:07 UTC", struck=5, k_candidate=44, log_e=log(41))

    assert told == (
        "The pause of 03:07 UTC no longer stands on what has been reported since: 5 of its 44 "
        "reports were withdrawn (forged, duplicate or misattributed) and the e-value is now 41. "
        "It stays paused until someone resumes it."
    )


def test_a_promotion_is_told() -> None:
    told = sentences.promoted(
        TOLD, "all", {Metric.CRASH: 2.0, Metric.HEALTHY: 2.0}, log_e=log(23), needed=log(20)
    )

    assert told == (
        "Promoted 4.2.0 from 10 % to all: crashes and failed first launches are not 2 times worse "
        "(e-value 23, 20 needed) after 7 h on 3,900 installs."
    )


def test_one_metric_and_one_install_are_told_in_the_singular() -> None:
    told = sentences.promoted(
        replace(TOLD, n_candidate=1),
        "all",
        {Metric.SILENCE: 1.25},
        log_e=log(20),
        needed=log(20),
    )

    assert ": silent installs are not 1.25 times worse" in told
    assert told.endswith("on 1 install.")


def test_a_suspension_is_told() -> None:
    told = sentences.suspended("4.2.0", seen=800, entrants=10_000, expected=1_000.0, log_e=8.0)

    assert told == (
        "Stopped judging 4.2.0: 800 of 10,000 entrants are candidates where 1,000 were due "
        "(e-value 2,981). Something loses contacts in one arm; no number here can be trusted "
        "until it is found."
    )


@pytest.mark.parametrize(
    ("seen", "installs", "expected", "counted"),
    [
        (12, 13, 1.3, "of 13 installs with reports set aside as {}, 12 are candidates where 1.3"),
        (1, 1, 0.01, "of 1 install with reports set aside as {}, 1 are candidates where 0.0"),
        (90, 300, 30.0, "of 300 installs with reports set aside as {}, 90 are candidates where 30"),
    ],
)
def test_a_rule_that_treats_the_arms_unlike_is_told(
    seen: int, installs: int, expected: float, counted: str
) -> None:
    told = sentences.unequal(
        "4.2.0", "implausible", seen=seen, installs=installs, expected=expected, log_e=8.6
    )

    assert told == (
        f"Stopped judging 4.2.0: {counted} were due "
        "(e-value 5,432). What sets reports aside must hit both arms alike; no number here can be "
        "trusted until it is found why it does not."
    ).format('"implausible"')


@pytest.mark.parametrize(
    ("exposure_bp", "ending"),
    [
        (
            None,
            "There is no control group in this ring; this is a stop line, not a comparison.",
        ),
        (1_000, "This is a stop line, not a comparison with the installs held back."),
    ],
)
def test_a_stop_line_is_told(exposure_bp: int | None, ending: str) -> None:
    world = a_world(exposure_bp=exposure_bp, internal=12, ring="internal")
    world.state.stage.guards["crashed"] = OneArm(failed=9, known=12)

    assert world.judge().record["sentence"] == (
        "Paused 4.2.0 at ring internal: 9 of 12 installs crashed within 24 h, above the ceiling "
        f"of 10 %. {ending}"
    )


def test_failed_starts_are_told() -> None:
    world = a_world(exposure_bp=None, internal=12, ring="internal")
    world.state.stage.failed_starts = 3

    assert (
        world.judge()
        .record["sentence"]
        .startswith(
            "Paused 4.2.0 at ring internal: 3 of 12 installs failed to start it, at or above the "
            "limit of 3. There"
        )
    )


# --- no verdict -----------------------------------------------------------------------------


def without_a_verdict(why: NoVerdict, now: float = DAY, **stage: Any) -> str:
    world = a_world(**stage)
    finding = Finding(no_verdict=why)
    names = Names(app="desk", channel="stable", version="4.2.0", rollout="ro_1")
    record = describe(world.state, world.log, world.settings, now, finding, names)
    return str(record["sentence"])


@pytest.mark.parametrize(
    ("why", "entered", "reason"),
    [
        (NoVerdict.NO_CONTACTS, (0, 0), "no install was heard of since it opened"),
        (NoVerdict.NO_CONTROL, (100, 0), "no install is held back to compare with"),
        (NoVerdict.ONE_ARM_EMPTY, (100, 0), "no install held back was heard of"),
        (NoVerdict.ONE_ARM_EMPTY, (0, 100), "no install offered it was heard of"),
        (NoVerdict.INTAKE_GAP, (100, 900), "for long nothing was received from anyone"),
        (NoVerdict.TOO_FEW_INSTALLS, (12, 108), "12 of 20 installs so far"),
        (NoVerdict.COHORT_NOT_MATURED, (100, 900), "of no install is the outcome known yet"),
    ],
)
def test_what_is_missing_is_told(why: NoVerdict, entered: tuple[int, int], reason: str) -> None:
    assert without_a_verdict(why, entered=entered).startswith(
        f"No verdict on 4.2.0 at ring 10 %: {reason}. This is not a sign of health. With "
    )


def test_installs_that_are_all_too_new_are_no_silence() -> None:
    world = a_world(entered=(0, 0))
    world.state.not_aged = 1_200
    finding = Finding(no_verdict=NoVerdict.NO_CONTACTS)
    names = Names(app="desk", channel="stable", version="4.2.0", rollout="ro_1")

    record = describe(world.state, world.log, world.settings, DAY, finding, names)

    assert (
        "1,200 installs checked in, and none had been known for long enough when the release "
        "was published" in record["sentence"]
    )


def test_how_long_it_would_take_is_told() -> None:
    told = without_a_verdict(NoVerdict.COHORT_NOT_MATURED, entered=(500, 4_500))

    # Nothing is known of how often controls crash: 0.5 % is guessed.
    assert told.endswith("With 500 installs a day a doubling would show after about 10 days.")


def test_what_takes_a_day_or_less_is_told_as_a_day() -> None:
    told = without_a_verdict(NoVerdict.COHORT_NOT_MATURED, entered=(9_000, 81_000))

    assert told.endswith("With 9,000 installs a day a doubling would show after about 1 day.")


@pytest.mark.parametrize(
    "stage",
    [{"entered": (0, 0)}, {"exposure_bp": 10_000}, {"exposure_bp": None, "internal": 1}],
)
def test_what_never_shows_is_told(stage: dict[str, Any]) -> None:
    told = without_a_verdict(NoVerdict.NO_CONTACTS, **stage)

    assert told.endswith("a day a doubling would never show.")


def test_just_after_opening_the_rate_is_that_of_an_hour() -> None:
    told = without_a_verdict(NoVerdict.TOO_FEW_INSTALLS, now=1.0, entered=(2, 18))

    assert "With 48 installs a day" in told


# --- the rest -------------------------------------------------------------------------------


def test_going_on_is_told_with_what_it_waits_for() -> None:
    world = a_world(approvals=1)
    world.passes_the_gate()
    judgement = world.judge()
    assert judgement.verdict is Verdict.CONTINUE
    finding = Finding(verdict=Verdict.CONTINUE)

    names = Names(app="desk", channel="stable", version="4.2.0", rollout="ro_1")
    record = describe(world.state, world.log, world.settings, world.now, finding, names)

    assert record["sentence"] == "4.2.0 goes on at ring 10 %."


@pytest.mark.parametrize(
    ("name", "shown"), [("10%", "10 %"), ("10 %", "10 %"), ("internal", "internal")]
)
def test_rings_are_written_with_a_space(name: str, shown: str) -> None:
    assert words.ring(name) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.3, "0.3"), (1.0, "1"), (9.94, "9.9"), (10.4, "10"), (2_159.9, "2,160"), (2e9, "10^9")],
)
def test_e_values_are_written_to_be_read(value: float, shown: str) -> None:
    assert words.e_value(log(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.5 h"), (7.0, "7 h"), (11.6, "12 h"), (1_234.5, "1,234 h")]
)
def test_hours_are_written_to_be_read(value: float, shown: str) -> None:
    assert words.hours(value) == shown


@pytest.mark.parametrize(("share", "shown"), [(0.1, "10 %"), (0.005, "0.5 %"), (0.001, "0.1 %")])
def test_shares_are_written_with_a_space(share: float, shown: str) -> None:
    assert words.percent(share) == shown


def test_three_platforms_are_listed() -> None:
    told = sentences.held(
        TOLD, Metric.CRASH, "linux", log_e=log(500), others=["macos", "solaris", "windows"]
    )

    assert "on macos, solaris and windows, where it goes on" in told


def test_a_time_limit_is_told_in_days() -> None:
    told = sentences.promoted_by_timeout(TOLD, "all", 7 * 24 * HOUR)

    assert "did not come within 7 days: after 7 h on 3,900 installs" in told


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (45, "45 s"),
        (300, "5 min"),
        (5_400, "1.5 h"),
        (DAY, "24 h"),
        (1.5 * DAY, "36 h"),
        (7 * DAY, "7 days"),
    ],
)
def test_how_long_something_may_take(seconds: float, shown: str) -> None:
    assert words.span(seconds) == shown


@pytest.mark.parametrize(
    ("name", "did"),
    [
        ("crashed", "crashed within 24 h"),
        ("unhealthy", "did not become healthy within 3 days"),
        ("crash_loop", "crashed three times within 24 h"),
    ],
)
def test_a_stop_line_says_in_which_time(name: str, did: str) -> None:
    told = sentences.guard(
        "4.2.0", "all", name, k=9, n=12, ceiling=0.1, has_control=True, outcome_seconds=3 * DAY
    )

    assert f"9 of 12 installs {did}, above" in told


def test_a_short_first_day_is_told_as_it_is() -> None:
    guard = sentences.guard(
        "4.2.0", "all", "crashed", k=9, n=12, ceiling=0.1, has_control=True, outcome_seconds=300
    )
    paused = sentences.silence(replace(TOLD, outcome_seconds=300), Metric.HEALTHY)

    assert "crashed within 5 min" in guard
    assert "had no healthy launch within 5 min" in paused
