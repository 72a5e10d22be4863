"""Settings as JSON: complete, exact and strict."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.evidence.ladder import TermsError, settings_from_json, settings_to_json
from update_server.evidence.settings import (
    STANDARD,
    Ceilings,
    Gate,
    May,
    Measured,
    Metric,
    Settings,
    Window,
)

OTHER = Settings(
    alpha=0.005,
    alpha_noninferiority=0.1,
    weights=MappingProxyType(dict.fromkeys(Metric, 0.125)),
    measured=(
        Measured(name="memory_mb", weight=0.03, test="betting", higher_is_worse=False),
        Measured(name="startup_ms", weight=0.0, advisory=True),
    ),
    gates=(
        Gate(up_to_bp=300, margin=2.0, silence=0.3),
        Gate(up_to_bp=10_000, margin=3.0, silence=0.1),
    ),
    ceilings=Ceilings(crashed=0.2, failed_starts=5),
    automatic=frozenset({May.HOLD}),
    windows=(Window(weekdays=frozenset({0, 4}), from_hour=9, to_hour=17, utc_offset_minutes=-150),),
    minimum_installs=5,
    minimum_age_seconds=0.1,
    minimum_check_ins=10,
    budget=0,
    budget_up_to_bp=2_000,
    network_cap=0,
    pull_margin=8,
    pull_log_factor=1_000.0,
    pull_lower_ratio=2.0,
    outcome_seconds=3_600.0,
    silence_minimum_seconds=7_200.0,
    silence_gaps=2.5,
    cohort_installs=30.0,
    cohort_seconds=3_600.0,
    timeout_seconds=3_600.0,
    timeout_promotes=True,
    history_pauses=False,
    floor_rate_a_day=0.01,
    baseline_silence=0.2,
    no_verdict_alert_soaks=1.5,
    offers_per_minute=60,
    speed=60.0,
)  # fmt: skip


@pytest.mark.parametrize("settings", [STANDARD, OTHER])
def test_settings_come_back_as_they_were(settings: Settings) -> None:
    stored = json.dumps(settings_to_json(settings))

    assert settings_from_json(json.loads(stored)) == settings


def test_every_setting_is_carried() -> None:
    names = {field.name for field in fields(Settings)}

    assert set(settings_to_json(STANDARD)) == names
    assert [n for n in names if getattr(OTHER, n) == getattr(STANDARD, n)] == []


@given(st.floats(0.0001, 0.1))
def test_numbers_keep_their_last_bit(alpha: float) -> None:
    stored = json.dumps(settings_to_json(replace(STANDARD, alpha=alpha)))

    assert settings_from_json(json.loads(stored)).alpha == alpha


def test_what_is_missing_is_as_published() -> None:
    assert settings_from_json({}) == STANDARD
    assert settings_from_json({"alpha": None}) == STANDARD
    assert settings_from_json({"automatic": []}) == replace(STANDARD, automatic=frozenset())


def test_a_metric_without_a_weight_is_off() -> None:
    settings = replace(STANDARD, weights=MappingProxyType({Metric.CRASH: 0.9}))

    weights = settings_from_json(settings_to_json(settings)).weights

    assert {metric for metric, weight in weights.items() if weight} == {Metric.CRASH}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], ""),
        ({"alpha": "0.01"}, "alpha"),
        ({"alpha": True}, "alpha"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": float("inf")}, "alpha"),
        ({"alpha": 10**400}, "alpha"),
        ({"alhpa": 0.01}, "alhpa"),
        ({"minimum_age": "7 d"}, "minimum_age"),
        ({"minimum_age_seconds": "7 d"}, "minimum_age_seconds"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"unsafe_speed": 2}, "unsafe_speed"),
        ({"minimum_installs": 20.0}, "minimum_installs"),
        ({"minimum_installs": True}, "minimum_installs"),
        ({"minimum_check_ins": 11}, "minimum_check_ins"),
        ({"timeout_promotes": 1}, "timeout_promotes"),
        ({"history_pauses": "yes"}, "history_pauses"),
        ({"weights": []}, "weights"),
        ({"weights": {"crash": -0.1}}, "weights.crash"),
        ({"weights": {"crsh": 0.1}}, "weights.crsh"),
        ({"weights": {"crash": 0.4}}, "weights"),
        ({"measured": [{"name": "a", "weight": 0.2}]}, "measured"),
        ({"measured": {}}, "measured"),
        ({"measured": [1]}, "measured[0]"),
        ({"measured": [{"weight": 0.1}]}, "measured[0].name"),
        ({"measured": [{"name": 5, "weight": 0.1}]}, "measured[0].name"),
        ({"measured": [{"name": "A b", "weight": 0.1}]}, "measured[0].name"),
        ({"measured": [{"name": "a"}]}, "measured[0].weight"),
        ({"measured": [{"name": "a", "weight": 0, "test": "t"}]}, "measured[0].test"),
        ({"measured": [{"name": "a", "weight": 0, "x": 1}]}, "measured[0].x"),
        ({"measured": [{"name": "a", "weight": 0}] * 2}, "measured[1].name"),
        ({"measured": [{"name": f"m{i}", "weight": 0} for i in range(9)]}, "measured"),
        ({"gates": []}, "gates"),
        ({"gates": [{"up_to_bp": 5_000}]}, "gates"),
        ({"gates": [{"margin": 2}]}, "gates[0].up_to_bp"),
        ({"gates": [{"up_to_bp": 100}, {"up_to_bp": 100}]}, "gates[1].up_to_bp"),
        ({"gates": [{"up_to_bp": 10_000, "margin": 1.3}]}, "gates[0].margin"),
        ({"gates": [{"up_to_bp": 10_000, "margin": True}]}, "gates[0].margin"),
        ({"gates": [{"up_to_bp": 10_000, "silence": 0.04}]}, "gates[0].silence"),
        ({"gates": [{"up_to_bp": 10_000, "soak": 1}]}, "gates[0].soak"),
        ({"ceilings": {"crashed": 0.95}}, "ceilings.crashed"),
        ({"ceilings": {"failed_starts": 0}}, "ceilings.failed_starts"),
        ({"ceilings": {"hot": 0.5}}, "ceilings.hot"),
        ({"automatic": "pause"}, "automatic"),
        ({"automatic": ["pause", "pray"]}, "automatic[1]"),
        ({"automatic": [["pause"]]}, "automatic[0]"),
        ({"automatic": ["pause", "pause"]}, "automatic[1]"),
        ({"windows": [{"weekdays": []}]}, "windows[0].weekdays"),
        ({"windows": [{"weekdays": [7]}]}, "windows[0].weekdays[0]"),
        ({"windows": [{"weekdays": [True]}]}, "windows[0].weekdays[0]"),
        ({"windows": [{"from_hour": 9, "to_hour": 9}]}, "windows[0].to_hour"),
        ({"windows": [{"from_hour": -1}]}, "windows[0].from_hour"),
        ({"windows": [{"utc_offset_minutes": 900}]}, "windows[0].utc_offset_minutes"),
        ({"windows": [{"days": ["mon"]}]}, "windows[0].days"),
        ({"windows": [{}] * 17}, "windows"),
    ],
)
def test_what_is_wrong_names_itself(value: Any, where: str) -> None:
    with pytest.raises(TermsError) as caught:
        settings_from_json(value)

    assert caught.value.where == where


def test_a_misspelt_setting_is_told_its_name() -> None:
    with pytest.raises(
        TermsError, match="minimum_instals: no such setting; did you mean"
    ) as caught:
        settings_from_json({"minimum_instals": 5})

    assert "minimum_installs" in caught.value.problem


def test_a_setting_like_no_other_is_told_which_there_are() -> None:
    with pytest.raises(TermsError, match="there are advisory, higher_is_worse, name"):
        settings_from_json({"measured": [{"name": "a", "weight": 0, "zzz": 1}]})


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(TermsError) as caught:
        settings_from_json({"alpha": "x" * 10_000})

    assert len(str(caught.value)) < 120


def test_weights_over_one_are_told_with_their_sum() -> None:
    with pytest.raises(TermsError, match=r"sum to 1\.1, over 1: crash 0\.4, .*startup_ms 0\.05"):
        settings_from_json({"weights": {"crash": 0.4}})
