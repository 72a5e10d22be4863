from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.judge_world import (
    LINUX,
    NAMES,
    WINDOWS,
    a_bad_world,
    a_network,
    a_terrible_world,
    a_world,
)
from update_server.evidence.design import risk_set_key
from update_server.evidence.facts import Past
from update_server.evidence.findings import Finding
from update_server.evidence.numerics import math_sha256
from update_server.evidence.ratio import GRID_SHA256, WEIGHTS_SHA256
from update_server.evidence.records import describe
from update_server.evidence.settings import STANDARD, May, Metric
from update_server.evidence.state import Arms, OneArm
from update_server.evidence.verdicts import NoVerdict, Verdict

# docs/evidence.md, Decision record and sentences.
FIELDS = {
    "id",
    "rollout",
    "release",
    "channel",
    "ring",
    "exposure_bp",
    "stage_opened_at",
    "decided_at",
    "epoch",
    "waivers",
    "verdict",
    "no_verdict",
    "cause_metric",
    "alpha",
    "log_e_by_metric",
    "ratio_estimate",
    "ratio_interval_95",
    "candidate",
    "control",
    "exposed_installs",
    "hours_since_open",
    "false_alarm_statement",
    "tamper_margin",
    "contamination_budget",
    "contested",
    "srm_log_e",
    "top_signatures",
    "noninferiority",
    "guards",
    "planner",
    "engine_version",
    "grid_sha256",
    "weights_sha256",
    "math_sha256",
    "event_range",
    "sentence",
}


def test_a_record_has_all_published_fields() -> None:
    assert set(a_bad_world().judge().record) >= FIELDS


def test_the_published_example_is_recorded() -> None:
    record = a_bad_world().judge().record

    crash = record["log_e_by_metric"]["crash"]
    assert crash["log_e"] == pytest.approx(7.677815704577, abs=1e-9)  # e-value 2159.897
    assert crash["needed"] == pytest.approx(5.809142990314, abs=1e-9)
    assert record["ratio_estimate"] == 2.181015465331
    assert record["ratio_interval_95"] == [1.189207115003, 4.0]
    assert record["tamper_margin"] == 3
    assert record["candidate"]["events"] == 44
    assert record["control"]["rate"] == 176 / 35_100
    assert record["hours_since_open"] == 7
    assert record["contamination_budget"] == 2
    assert record["exposed_installs"] == 3_900


def test_a_record_is_json_without_infinities() -> None:
    world = a_world(internal=4)
    world.events_of(6, 0, n=(50, 450))
    world.state.stage.failed_starts = 3

    record = dict(world.judge().record)

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["ratio_interval_95"][1] is None


def test_a_record_says_what_it_was_computed_with() -> None:
    record = a_bad_world().judge().record

    assert record["grid_sha256"] == GRID_SHA256
    assert record["weights_sha256"] == WEIGHTS_SHA256
    assert record["math_sha256"] == math_sha256()
    assert record["engine_version"] == "2"


def test_a_record_says_whence_the_first_base_rate_of_silence_is() -> None:
    world = a_bad_world()
    world.state.past = Past(at=0.0, windows=((0, 400, 100), (1, 50, 1), (8, 200, 2)))

    baselines = world.judge().record["silence_baselines"]

    assert sorted(baselines, key=int) == ["0", "1", "2", "3", "8", "9", "10", "11"]
    assert baselines["0"] == {"share": 0.25, "source": "history", "windows": 400}
    assert baselines["1"] == {"share": 0.1, "source": "setting", "windows": 0}
    assert baselines["8"] == {"share": 0.01, "source": "history", "windows": 200}


def test_two_leaders_that_decide_the_same_record_the_same() -> None:
    assert a_bad_world().judge().record == a_bad_world().judge().record


def test_another_decision_has_another_id() -> None:
    first = a_bad_world().judge().record["id"]

    assert a_terrible_world().judge().record["id"] != first
    assert first.startswith("de_")


def test_at_risk_are_those_without_a_first_event() -> None:
    world = a_bad_world()
    key = risk_set_key(1, 0, 0)
    world.state.stage.risk_sets = {key: Arms(candidate=3_900, control=35_100)}
    world.state.stage.gone = {"crash": {key: Arms(candidate=44, control=176)}}

    record = world.judge().record

    assert record["candidate"]["at_risk"] == 3_856
    assert record["control"]["at_risk"] == 34_924


def test_the_events_behind_a_cause_are_told_by_their_ends() -> None:
    record = a_bad_world().judge().record

    assert record["event_range"] == {
        "first": (1).to_bytes(32, "big").hex(),
        "last": (220).to_bytes(32, "big").hex(),
        "count": 220,
    }


def test_a_log_that_was_lost_has_no_events() -> None:
    world = a_bad_world()
    world.log = type(world.log)()
    world.set(budget=-1)

    assert world.judge().record["event_range"] is None


def test_a_cause_without_events_has_none_to_tell() -> None:
    world = a_world()
    world.cohort(20, 18, 20, 180, metric=Metric.SILENCE)

    record = world.judge().record

    assert record["event_range"] is None
    assert record["candidate"]["installs"] == 20
    assert record["candidate"]["entered"] == 3_900


def test_the_jackknife_is_recorded() -> None:
    world = a_world()
    world.events_of(0, 176)
    world.events_of(44, 0, networks=lambda number: a_network(number % 4))

    record = world.judge().record

    told = record["jackknife"]
    assert told["log_e_without_few_networks"] < told["log_e_without_one_network"]


def test_a_held_platform_tells_its_own_installs() -> None:
    world = a_world()
    world.set(automatic=STANDARD.automatic | {May.HOLD})
    world.state.stage.risk_sets = {
        risk_set_key(1, 0, 0): Arms(candidate=1_000, control=9_000),
        risk_set_key(2, 3, 0): Arms(candidate=1, control=2),
        risk_set_key(1, 0, 1): Arms(candidate=2_900, control=26_100),
    }
    world.events_of(60, 176, platform=LINUX)
    world.events_of(2, 60, platform=WINDOWS)

    record = world.judge().record

    assert record["candidate"]["installs"] == 1_001
    assert record["control"]["installs"] == 9_002
    assert "60 of 1,001 installs offered it crashed against 176 of 9,002" in record["sentence"]


def test_more_than_five_signatures_are_cut_off() -> None:
    world = a_bad_world()
    world.state.signatures = ["a", "b", "c", "d", "e", "f", "never"]
    for number, signature in enumerate("abcdef"):
        world.events_of(number, 3, metric=f"signature:{signature}")

    told = world.judge().record["top_signatures"]

    assert [each["id"] for each in told] == ["f", "e", "d", "c", "b"]
    assert told[0]["candidate"] == 5


def test_a_suspension_has_no_cause() -> None:
    world = a_world()
    world.state.stage.srm[0] = 70.0

    record = world.judge().record

    assert record["cause_metric"] is None
    assert record["tamper_margin"] is None
    assert record["jackknife"] is None


def test_a_ring_of_groups_has_nothing_to_plan() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=4)
    world.state.stage.guards["crashed"] = OneArm(failed=0, known=4)

    record = world.judge().record

    assert record["planner"]["installs_to_detect_2x"] is None
    assert record["candidate"]["rate"] is None
    assert record["noninferiority"] == []


def test_a_metric_that_is_off_has_nothing_to_plan() -> None:
    world = a_world(srm=[])
    world.set(weights={Metric.FUNNEL: 0.05})
    world.state.funnel["verify"] = OneArm(failed=20, known=20)

    record = world.judge().record

    assert record["planner"]["installs_to_detect_1_5x"] is None
    assert record["srm_log_e"] is None


def test_crashes_of_every_second_install_cannot_double() -> None:
    world = a_world(entered=(100, 900))
    world.events_of(5, 600)
    world.state.stage.guards["crashed"] = OneArm(failed=90, known=100)

    record = world.judge().record

    assert record["planner"]["installs_to_detect_1_5x"] is not None
    assert record["planner"]["installs_to_detect_2x"] is None


def test_a_record_can_be_made_where_there_is_no_decision() -> None:
    world = a_world()
    finding = Finding(no_verdict=NoVerdict.COHORT_NOT_MATURED)

    record = describe(world.state, world.log, world.settings, world.now, finding, NAMES)

    assert record["verdict"] is None
    assert record["no_verdict"] == "cohort_not_matured"


def test_above_a_tenth_there_is_no_budget() -> None:
    world = a_bad_world(exposure_bp=2_000)

    assert world.judge().record["contamination_budget"] == 0


def test_instants_and_names_are_the_callers() -> None:
    world = a_bad_world(opened_at=3_600.0)
    finding = Finding(verdict=Verdict.CONTINUE)
    names = replace(NAMES, rollout="ro_9", channel="beta")

    record = describe(world.state, world.log, world.settings, 9_000.0, finding, names)

    assert record["stage_opened_at"] == 3_600
    assert record["decided_at"] == 9_000
    assert record["rollout"] == "ro_9"
    assert record["channel"] == "beta"
