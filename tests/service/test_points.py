from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admin_world import World
from tests.service.clinic import FLEET, PAUSES, Clinic, a_clinic, settle, sicken
from update_server.evidence.shares import share_interval
from update_server.service.ports.series import StudyPoint
from update_server.service.studies.points import MOST_POINTS, is_due, superfluous


def points(clinic: Clinic) -> Sequence[StudyPoint]:
    with clinic.world.database.reading() as stores:
        return stores.series.points(clinic.rollout.id)


@pytest.fixture
def sick(released: World) -> Clinic:
    clinic = a_clinic(released, terms=PAUSES)
    sicken(clinic)
    clinic.round()
    return clinic


def test_a_decision_is_marked_and_has_the_numbers_of_its_record(sick: Clinic) -> None:
    paused = sick.decisions[-1]

    found = [each for each in points(sick) if each.at == paused.at]

    assert [each.marked for each in found] == [True]
    told, record = found[0].body, paused.record
    assert told["verdict"] == "pause"
    assert told["ring"] == record["ring"]
    assert told["log_e"] == {
        name: pytest.approx(each["log_e"], abs=1e-6)
        for name, each in record["log_e_by_metric"].items()
    }
    for arm in ("candidate", "control"):
        crashed, installs = record[arm]["events"], record[arm]["installs"]
        assert told[arm][:2] == [crashed, installs]
        assert told[arm][2:] == pytest.approx(share_interval(crashed, installs), abs=1e-6)


def test_a_new_process_goes_on_where_the_last_one_was(sick: Clinic) -> None:
    before = points(sick)

    settle(sick)

    after = points(sick)
    assert list(after[: len(before)]) == list(before)
    assert [each.number for each in after] == list(range(1, len(after) + 1))
    assert len(after) > len(before)
    assert [each.at for each in after] == sorted(each.at for each in after)


def test_a_study_of_weeks_has_few_points(released: World) -> None:
    clinic = a_clinic(released)
    judge = clinic.judge()
    for _ in range(600):
        clinic.check_in(FLEET[:2])
        clinic.world.advance(1_800)
        clinic.round(judge)

    found = points(clinic)

    assert 50 < len(found) <= MOST_POINTS
    assert found[0].body["hours"] < 1
    assert found[-1].body["hours"] > 290


def test_points_are_due_farther_and_farther_apart() -> None:
    apart = []
    last = 0.0
    for minute in range(14 * 24 * 60):
        if is_due(minute * 60.0, last):
            apart.append(minute * 60.0 - last)
            last = minute * 60.0

    assert apart == sorted(apart)
    assert apart[0] == 300
    assert len(apart) < 400


@given(st.lists(st.booleans(), max_size=600), st.booleans())
def test_what_is_too_much_goes_and_the_ends_stay(marks: list[bool], all_marked: bool) -> None:
    known: list[tuple[int, float, bool]] = []
    for number, marked in enumerate(marks, start=1):
        known.append((number, float(number), marked or all_marked))
        dropped = superfluous(known)
        assert known[0][0] not in dropped
        assert known[-1][0] not in dropped
        if any(not each for _, _, each in known[1:-1]):
            assert not dropped & {n for n, _, each in known if each}
        known = [each for each in known if each[0] not in dropped]

    assert len(known) <= MOST_POINTS
