from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from rollout.model import RolloutState
from tests.admin_world import APP, World
from tests.service.clinic import PAUSES, Clinic, a_clinic, sicken
from tests.store.crash_values import a_report
from tests.store.values import a_rollout
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.service.ports.crashes import UNATTRIBUTED, Cell
from update_server.service.rollouts.version_days import DayCounter
from update_server.web.admin.app import create_app


@pytest.fixture
def clinic(prepared: World, tmp_path: Path) -> Clinic:
    clinic = a_clinic(prepared.fork(tmp_path / "signer"), terms=PAUSES)
    sicken(clinic)
    clinic.round()
    return clinic


@pytest.fixture
def world(clinic: Clinic) -> World:
    return clinic.world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.services()).test_client()


def got(ask: Ask, path: str) -> dict[str, Any]:
    response = ask("GET", f"/v1/admin/apps/{APP}/{path}", role=Role.VIEWER)
    assert response.status_code == 200, response.json
    body: dict[str, Any] = response.json  # type: ignore[assignment]
    return body


def test_the_last_point_is_what_the_decision_was_made_from(ask: Ask, clinic: Clinic) -> None:
    record = clinic.decisions[-1].record

    series = got(ask, f"rollouts/{clinic.rollout.id}/series")

    point = series["points"][-1]
    limits = {each["metric"]: each for each in series["metrics"]}
    assert (point["verdict"], point["marked"], point["epoch"]) == ("pause", True, 1)
    assert set(limits) == set(point["log_e"])
    for metric, told in record["log_e_by_metric"].items():
        assert limits[metric]["needed"] == told["needed"]
        assert point["log_e"][metric] == pytest.approx(told["log_e"], abs=1e-6)
    for arm in ("candidate", "control"):
        low, high = point[arm]["share_interval_95"]
        assert point[arm]["crashed"] == record[arm]["events"]
        assert point[arm]["installs"] == record[arm]["installs"]
        assert low < record[arm]["rate"] < high


def test_a_rollout_that_is_not_judged_has_an_empty_series(ask: Ask, clinic: Clinic) -> None:
    other = a_rollout("ro_before", app=APP, state=RolloutState.COMPLETED)
    with clinic.world.database.transaction() as stores:
        stores.rollouts.add(other)

    series = got(ask, "rollouts/ro_before/series")

    assert series["alpha"] is None
    assert series["points"] == series["metrics"] == []


def test_crashes_are_told_by_the_hour_of_each_installs_first(ask: Ask, world: World) -> None:
    hour = world.clock.now().replace(minute=0, second=0, microsecond=0)
    with world.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report("1", app=APP, at=hour),
                a_report("1", app=APP, at=hour + timedelta(minutes=1)),
                a_report("2", app=APP, at=hour, cell=Cell()),
                a_report("3", app=APP, at=hour - timedelta(days=8)),
            ]
        )

    found = got(ask, "crashes/aa/hours")

    [signature] = found["signatures"]
    assert signature["signature"] == "aa"
    [told] = signature["hours"]
    assert told["candidate"] == 1
    assert told["control"] == 0
    assert told[UNATTRIBUTED] == 1


def test_hours_of_a_crash_may_be_of_one_rollout(ask: Ask, world: World) -> None:
    hour = world.clock.now().replace(minute=0, second=0, microsecond=0)
    here = Cell(rollout="ro_here", arm="candidate")
    with world.database.transaction() as stores:
        stores.crashes.note([a_report("1", app=APP, at=hour, cell=here), a_report("2", at=hour)])

    found = got(ask, "crashes/aa/hours?rollout=ro_here")

    [told] = found["signatures"][0]["hours"]
    assert (told["candidate"], told["control"]) == (1, 0)
    assert ask("GET", f"/v1/admin/apps/{APP}/crashes/aa/hours?rollout=x").status_code == 400


def test_versions_are_told_by_day(ask: Ask, clinic: Clinic) -> None:
    DayCounter(clinic.world.database, clinic.world.clock).step()

    days = got(ask, "versions/days?days=3")

    assert [each["day"] for each in days["items"]] == [days["today"]]
    assert days["items"][0]["installs"] == 400
    assert days["drains"] == []


@pytest.mark.parametrize(
    ("path", "status"), [("rollouts/nothing/series", 404), ("versions/days?days=0", 400)]
)
def test_what_is_not_there_is_refused(ask: Ask, path: str, status: int) -> None:
    response = ask("GET", f"/v1/admin/apps/{APP}/{path}", role=Role.VIEWER)

    assert response.status_code == status
