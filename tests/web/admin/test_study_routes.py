from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.admin_world import APP, World
from tests.service.clinic import OPEN, Clinic, a_clinic, sicken
from tests.web.admin.conftest import Ask
from update_server.evidence.settings import May
from update_server.service.ports import Role
from update_server.service.studies import decisions as decision_log
from update_server.web.admin.app import create_app


@pytest.fixture(scope="session")
def paused(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic whose release was paused; no test may change it."""
    terms = replace(OPEN, automatic=frozenset({May.PAUSE}))
    clinic = a_clinic(prepared.fork(tmp_path_factory.mktemp("studied") / "signer"), terms=terms)
    sicken(clinic)
    clinic.round()
    clinic.world.advance(700)
    clinic.round()  # the study is told of the pause
    return clinic


@pytest.fixture
def clinic(paused: Clinic, tmp_path: Path) -> Clinic:
    return paused.fork(tmp_path / "clinic")


@pytest.fixture
def world(clinic: Clinic) -> World:
    return clinic.world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.services()).test_client()


@pytest.fixture
def path(clinic: Clinic) -> str:
    return f"/v1/admin/apps/{APP}/rollouts/{clinic.rollout.id}"


def got(ask: Ask, path: str) -> dict[str, Any]:
    response = ask("GET", path, role=Role.VIEWER)
    assert response.status_code == 200, response.json
    body: dict[str, Any] = response.json  # type: ignore[assignment]
    return body


def test_all_metrics_stand_in_one_answer_and_are_those_of_the_evidence(ask: Ask, path: str) -> None:
    [epoch] = got(ask, f"{path}/study")["epochs"]

    told = {each["metric"]: each for each in epoch["metrics"]}
    for metric in ("crash", "crash_loop", "silence", "healthy_launch"):
        alone = got(ask, f"{path}/evidence?metric={metric}")
        for name in ("weight", "log_e", "needed", "candidate", "control"):
            assert told[metric][name] == alone[name], (metric, name)
    assert told["crash"]["candidate"]["events"] == 60
    assert told["crash"]["ratio_interval_95"] == alone_of_crash(ask, path)


def alone_of_crash(ask: Ask, path: str) -> list[float | None]:
    interval: list[float | None] = got(ask, f"{path}/evidence")["ratio_interval_95"]
    return interval


def test_a_metric_of_which_nothing_was_counted_has_no_ratio(ask: Ask, path: str) -> None:
    [epoch] = got(ask, f"{path}/study")["epochs"]

    [loop] = [each for each in epoch["metrics"] if each["metric"] == "crash_loop"]
    assert (loop["ratio_estimate"], loop["ratio_interval_95"], loop["platforms"]) == (
        None,
        None,
        [],
    )


def test_the_platforms_of_a_metric_add_up_to_it(ask: Ask, path: str) -> None:
    [epoch] = got(ask, f"{path}/study")["epochs"]

    crash = epoch["metrics"][0]
    [linux] = crash["platforms"]
    assert linux["candidate"] == {"events": 60, "installs": None}
    assert linux["log_e"] == crash["log_e"]
    assert not linux["held"]


def test_who_is_at_risk_adds_up_to_who_entered(ask: Ask, path: str) -> None:
    stage = got(ask, f"{path}/study")["stage"]

    for arm in ("candidate", "control"):
        assert sum(each[arm] for each in stage["at_risk"]) == stage["entered"][arm] > 0
    assert {each["platform"] for each in stage["at_risk"]} == {"linux-x86_64"}


def test_gates_lines_and_terms_are_told(ask: Ask, path: str) -> None:
    study = got(ask, f"{path}/study")

    assert [each["metric"] for each in study["gates"]][:3] == ["crash", "healthy_launch", "silence"]
    assert all(each["needed"] > 0 for each in study["gates"])
    assert study["terms"]["alpha"] == OPEN.alpha
    assert study["terms"]["automatic"] == ["pause"]
    assert study["sample_ratio"]["log_e"] is not None
    assert study["paused"]


def test_an_epoch_that_was_ended_by_a_resume_stays_to_be_seen(
    ask: Ask, path: str, clinic: Clinic
) -> None:
    body = {"reason": "a known crash", "waive": ["dead00beef00dead"], "waive_seconds": 3600}
    for name in ("ada", "ben"):
        caller = clinic.world.person(name)
        headers = {"Authorization": f"Bearer {caller.secret}"}
        answer = ask("POST", f"{path}/resume", json=body, headers=headers)
    assert answer.status_code == 200, answer.json
    clinic.world.advance(700)
    clinic.round()

    first, second = got(ask, f"{path}/study")["epochs"]

    assert (first["number"], second["number"]) == (1, 2)
    assert first["metrics"][0]["candidate"]["events"] == 60
    assert second["metrics"][0]["candidate"]["events"] == 0
    assert list(second["waived"]) == ["dead00beef00dead"]
    assert second["opened_at"] > first["opened_at"]


def test_a_decision_comes_out_of_its_log_again(ask: Ask, path: str) -> None:
    [newest, *_] = got(ask, f"{path}/decisions")["items"]

    told = got(ask, f"{path}/decisions/recomputed")
    named = got(ask, f"{path}/decisions/recomputed?number={newest['number']}")

    assert told == named
    assert (told["decision"], told["agrees"], told["same_bits"]) == (newest["id"], True, True)
    assert told["log_e_by_metric"]["crash"] == newest["log_e_by_metric"]["crash"]["log_e"]


def test_a_decision_whose_log_was_changed_does_not(ask: Ask, path: str, clinic: Clinic) -> None:
    with clinic.world.database.transaction() as stores:
        first = min(stores.studies._state.study_log)
        del stores.studies._state.study_log[first]

    told = got(ask, f"{path}/decisions/recomputed")

    assert (told["agrees"], told["differing"]) == (False, ["crash"])


@pytest.mark.parametrize(("number", "status"), [("999", 404), ("0", 400), ("x", 400)])
def test_a_decision_that_is_not_there_is_not_recomputed(
    ask: Ask, path: str, number: str, status: int
) -> None:
    assert ask("GET", f"{path}/decisions/recomputed?number={number}").status_code == status


def test_a_log_that_is_too_long_is_not_recomputed_in_a_request(
    ask: Ask, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_log, "MOST_RECOMPUTED", 10)

    response = ask("GET", f"{path}/decisions/recomputed")

    assert (response.status_code, response.json and response.json["field"]) == (422, "number")


@pytest.mark.parametrize("what", ["study", "decisions/recomputed"])
def test_nobody_looks_without_a_token_or_at_a_rollout_that_is_not_there(
    ask: Ask, client: FlaskClient, path: str, what: str
) -> None:
    assert client.get(f"{path}/{what}").status_code == 401
    assert ask("GET", f"/v1/admin/apps/{APP}/rollouts/ro_none/{what}").status_code == 404


def test_the_last_rollouts_are_told_under_the_policy_in_force(ask: Ask, clinic: Clinic) -> None:
    body = got(ask, f"/v1/admin/apps/{APP}/policy/past?limit=1")

    [newest] = body["items"]
    assert newest["rollout"] == clinic.rollout.id
    assert (newest["stopped"]["ring"], newest["stopped"]["cause_metric"]) == ("half", "crash")
    assert (newest["would"], newest["same_ladder"]) == ("paused", True)
    assert ask("GET", f"/v1/admin/apps/{APP}/policy/past?limit=51").status_code == 400


def test_a_policy_tells_the_gates_of_its_steps(ask: Ask) -> None:
    gates = got(ask, f"/v1/admin/apps/{APP}/policy")["gates"]

    assert [(each["ring"], each["margin"]) for each in gates] == [("half", 1.5), ("all", 1.25)]
