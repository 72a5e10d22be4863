from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.web.dashboard import words

NOW = datetime(2026, 11, 20, 3, 11, 22, tzinfo=UTC)


def told(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (3_900, "3,900"), (1_234_567, "1,234,567"), (None, words.UNKNOWN)],
)
def test_a_count_has_commas_and_what_is_not_known_is_a_dash(value: int | None, shown: str) -> None:
    assert words.count(value) == shown


def test_a_share_never_stands_without_both_its_numbers() -> None:
    assert words.share(3_421, 3_512) == "97.4 % (3,421 of 3,512)"
    assert words.share(0, 0) == "0 of 0"
    assert words.share(None, 12) == f"{words.UNKNOWN} of 12"


@pytest.mark.parametrize(
    ("times", "shown"),
    [(2.2345, "2.23"), (1_024.3, "1,024"), (0.05, "0.05"), (None, words.UNKNOWN)],
)
def test_a_ratio_is_told_without_powers_of_ten(times: float | None, shown: str) -> None:
    assert words.ratio(times) == shown


@pytest.mark.parametrize(
    ("log_e", "shown"),
    [
        (None, words.UNKNOWN),
        (0.0, "1"),
        (math.log(0.25), "0.25"),
        (math.log(330), "330"),
        (math.log(2_165), "2,165"),
        (math.log(3e9), "10^9"),
        (5_000.0, "10^2171"),
        (math.log(0.01), "0.01"),
        (math.log(1.7e-5), "below 0.01"),
        (-800.0, "below 0.01"),
    ],
)
def test_evidence_is_told_as_people_say_it(log_e: float | None, shown: str) -> None:
    assert words.evidence(log_e) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_800, "2 days"),
    ],
)
def test_a_duration_is_told_in_the_largest_unit_that_still_says_something(
    seconds: int, shown: str
) -> None:
    assert words.duration(seconds) == shown
    assert words.ago(told(NOW - timedelta(seconds=seconds)), NOW) == f"{shown} ago"


def test_what_will_be_is_told_as_such() -> None:
    assert words.ago(told(NOW + timedelta(minutes=42)), NOW) == "in 42 min"
    assert words.duration(None) == words.ago(None, NOW) == words.UNKNOWN


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (timedelta(seconds=22), "03:11:00 UTC"),
        (timedelta(hours=3), "00:11 UTC"),
        (timedelta(days=1), "19 Nov 03:11 UTC"),
        (timedelta(days=400), "2025-10-16 03:11 UTC"),
    ],
)
def test_an_instant_is_told_as_far_as_it_is_not_today(before: timedelta, shown: str) -> None:
    text = words.when(told(NOW - before), NOW)
    assert f">{shown}</time>" in text
    assert f'datetime="{told(NOW - before)}"' in text
    assert words.when(None, NOW) == words.UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "kind"), [(0, "fresh"), (120, "fresh"), (121, "late"), (900, "late"), (901, "old")]
)
def test_data_grow_late_and_then_old(seconds: int, kind: str) -> None:
    assert words.freshness(told(NOW - timedelta(seconds=seconds)), NOW) == kind


def test_every_state_has_a_shape_and_a_word_of_its_own() -> None:
    assert len({shape for shape, _, _ in words.STATES.values()}) == len(words.STATES)
    assert "✓" not in words.state("active")
    assert "unknown" in words.state("<b>")


def test_hostile_text_shows_what_it_hides() -> None:
    assert words.visible("a\u202eb\u0000c") == "a⟨U+202E⟩b⟨U+0000⟩c"
    assert words.visible("x" * 300).endswith("… 44 more characters")
    assert words.visible("one\ntwo\r\nthree") == "one\ntwo\nthree"


@given(st.text())
def test_no_text_brings_a_character_that_cannot_be_seen(text: str) -> None:
    shown = words.visible(text)
    assert all(each.isprintable() or each == "\n" for each in shown)
    assert all(len(line) < 256 * 10 + 40 for line in shown.split("\n"))


def test_what_is_nested_is_told_in_one_line() -> None:
    assert words.plain({"role": "viewer", "apps": ["a", "b"], "no": None}) == (
        f"role: viewer, apps: a, b, no: {words.UNKNOWN}"
    )
    assert words.plain({}) == words.plain("") == words.plain([]) == words.UNKNOWN
    assert words.exposure(250) == "2.5 %"
    assert words.exposure(None) == words.UNKNOWN
