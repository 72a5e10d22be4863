from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.admin_world import APP, World
from tests.service.clinic import OPEN, Clinic, a_clinic
from tests.web.admin.conftest import Ask
from update_server.evidence.replay import replay
from update_server.evidence.settings import May
from update_server.service.ports import Role
from update_server.web.admin.app import create_app

FLEET = range(400)


@pytest.fixture(scope="session")
def paused(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic whose release was paused; no test may change it."""
    terms = replace(OPEN, automatic=frozenset({May.PAUSE}))
    clinic = a_clinic(prepared.fork(tmp_path_factory.mktemp("clinic") / "signer"), terms=terms)
    clinic.check_in(FLEET)
    clinic.world.advance(60)
    clinic.round()
    clinic.crash(clinic.candidates(FLEET)[:60])
    clinic.crash(clinic.controls(FLEET)[:3])
    clinic.world.advance(700)
    clinic.round()
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


def got(ask: Ask, path: str, role: Role = Role.VIEWER) -> dict[str, Any]:
    response = ask("GET", path, role=role)
    assert response.status_code == 200, response.json
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


def test_decisions_are_told_newest_first_with_what_became_of_them(ask: Ask, path: str) -> None:
    body = got(ask, f"{path}/decisions")

    newest, *_, oldest = body["items"]
    assert (newest["verdict"], newest["outcome"]) == ("pause", "paused")
    assert newest["cause_metric"] == "crash"
    assert newest["sentence"].startswith("Paused 2.1.0 at ring half")
    assert newest["carried_out_at"] >= newest["at"]
    assert (oldest["verdict"], oldest["outcome"]) == (None, "noted")
    assert body["next_cursor"] is None


def test_decisions_come_in_pages(ask: Ask, path: str) -> None:
    whole = got(ask, f"{path}/decisions")["items"]

    first = got(ask, f"{path}/decisions?limit=1")
    second = got(ask, f"{path}/decisions?limit=1&cursor={first['next_cursor']}")

    assert first["items"] + second["items"] == whole[:2]


def test_a_rollout_shows_the_newest_verdict(ask: Ask, path: str) -> None:
    newest = got(ask, f"{path}/decisions")["items"][0]

    shown = got(ask, path)
    [listed] = [each for each in got(ask, path.rpartition("/")[0])["items"] if each["verdict"]]

    for body in (shown, listed):
        assert (body["verdict"], body["no_verdict"]) == ("pause", None)
        assert body["sentence"] == newest["sentence"] == body["reason"]


def test_the_evidence_of_first_events_can_be_replayed(ask: Ask, path: str) -> None:
    evidence = got(ask, f"{path}/evidence?metric=crash")

    replayed = replay(evidence["replay"])

    assert evidence["candidate"]["events"] == 60
    assert evidence["control"]["events"] == 3
    assert len(evidence["log"]) == 63
    assert evidence["log"][0].keys() == {
        "network",
        "struck",
        "at",
        "platform",
        "arm",
        "n_candidate",
        "n_control",
        "event",
    }
    assert evidence["log_e"] > evidence["needed"]
    assert replayed["log_e_harm"] == pytest.approx(evidence["log_e"], rel=1e-9)
    assert replayed["interval"] == evidence["ratio_interval_95"]
    assert replayed["verdict"] == "pause"


def test_crashes_are_meant_where_no_metric_is_named(ask: Ask, path: str) -> None:
    assert got(ask, f"{path}/evidence")["metric"] == "crash"


@pytest.mark.parametrize("metric", ["silence", "healthy_launch", "crash_loop", "score:startup_ms"])
def test_any_metric_that_it_is_judged_by_can_be_looked_at(ask: Ask, path: str, metric: str) -> None:
    evidence = got(ask, f"{path}/evidence?metric={metric}")

    assert (evidence["metric"], evidence["log"]) == (metric, [])
    assert evidence["log_e"] == pytest.approx(0.0, abs=1e-12)
    assert (evidence["replay"] is None) is (metric != "crash_loop")


def test_a_metric_that_it_is_not_judged_by_is_refused_by_name(ask: Ask, path: str) -> None:
    response = ask("GET", f"{path}/evidence?metric=mood")

    assert (response.status_code, response.json and response.json["field"]) == (422, "metric")


@pytest.mark.parametrize("what", ["decisions", "evidence"])
def test_a_rollout_that_is_not_there_has_neither(ask: Ask, path: str, what: str) -> None:
    response = ask("GET", f"{path.rpartition('/')[0]}/ro_none/{what}")

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["type"].endswith("#unknown_rollout")


def test_a_rollout_that_was_never_judged_has_no_evidence(ask: Ask, clinic: Clinic) -> None:
    with clinic.world.database.reading() as stores:
        completed = stores.rollouts.of_app(APP)[-1]
        stores.studies._state.studies.pop(completed.id, None)

    response = ask("GET", f"/v1/admin/apps/{APP}/rollouts/{completed.id}/evidence")

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["type"].endswith("#unknown_study")


@pytest.mark.parametrize("what", ["decisions", "evidence"])
def test_nobody_looks_without_a_token(client: FlaskClient, path: str, what: str) -> None:
    assert client.get(f"{path}/{what}").status_code == 401


def test_reports_are_withdrawn_by_their_network(ask: Ask, path: str) -> None:
    def told() -> list[dict[str, Any]]:
        log: list[dict[str, Any]] = got(ask, f"{path}/evidence")["log"]
        return log

    def struck(network: str) -> dict[str, Any]:
        wanted = {"network": network, "reason": "a test lab's"}
        response = ask("POST", f"{path}/evidence/strike", json=wanted)
        assert response.status_code == 200
        assert response.json is not None
        done: dict[str, Any] = response.json
        return done

    networks = [each["network"] for each in told() if each["arm"] == "candidate"]
    assert not struck(networks[0])["contested"]
    assert [each["network"] for each in told() if each["struck"]] == networks[:1]
    last = next(done for done in map(struck, networks[1:]) if done["contested"])

    newest, *_ = got(ask, f"{path}/decisions")["items"]
    assert last["log_e"] < last["needed"]
    assert (newest["sentence"], newest["outcome"]) == (last["sentence"], "contested")
    assert got(ask, path)["state"] == "paused"


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"network": "203.0.113.7"}, 400),
        ({"network": "203.0.113.7", "reason": ""}, 422),
        ({"reason": "r"}, 422),
        ({"reason": "r", "install_id": "me"}, 400),
        ({"reason": "r", "install_id": "5F0C1C1E-7d0e-4e0a-9d7e-3a5b6c7d8e9f"}, 200),
    ],
)
def test_what_is_no_strike_is_refused(
    ask: Ask, path: str, wanted: dict[str, str], status: int
) -> None:
    assert ask("POST", f"{path}/evidence/strike", json=wanted).status_code == status


def test_only_operators_withdraw_reports(ask: Ask, path: str) -> None:
    wanted = {"network": "203.0.113.7", "reason": "r"}
    response = ask("POST", f"{path}/evidence/strike", json=wanted, role=Role.PUBLISHER)

    assert response.status_code == 403
