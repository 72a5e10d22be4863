"""Pages cost the same with ten releases as with a thousand: in statements, and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rollout.model import RolloutId
from tests.admin_world import World
from tests.dashboard.visitors import ORIGIN
from tests.fakes import FakeClock
from tests.many_releases import APP, AT, databases, live_on
from tests.service.clinic import Clinic
from tests.statements import statements
from tests.store.conftest import migrated_sqlite
from update_server.service.access.caller import Caller
from update_server.service.ports import Role, Stores
from update_server.store import SqlDatabase
from update_server.web.admin.app import create_app
from update_server.web.dashboard.door import Door, Visitor

__all__ = ["migrated_sqlite"]

MOST_BYTES = 50_000
JUDGED = RolloutId("ro_judged")
VERA = Visitor(
    caller=Caller(name="vera", token_id="op_1"), role=Role.VIEWER, csrf="csrf", session="session"
)
INSTALL = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


def app_page(client: FlaskClient) -> TestResponse:
    return client.get(f"/apps/{APP}")


def audit_page(client: FlaskClient) -> TestResponse:
    return client.get("/audit")


def policy_page(client: FlaskClient) -> TestResponse:
    return client.get(f"/apps/{APP}/policy")


def evidence_page(client: FlaskClient) -> TestResponse:
    return client.get(f"/apps/{APP}/rollouts/{JUDGED}/evidence")


def explain_page(client: FlaskClient) -> TestResponse:
    fields = {
        "install_id": INSTALL,
        "channel": "stable",
        "platform": "linux-x86_64",
        "version": "1.5.0",
        "csrf": VERA.csrf,
    }
    return client.post(f"/apps/{APP}/explain", data=fields, headers={"Origin": ORIGIN})


def judge(stores: Stores, clinic: Clinic) -> None:
    """Store a rollout with a real study, and what was decided about it."""
    rollout = replace(live_on("stable"), id=JUDGED)
    stores.rollouts.add(rollout)
    with clinic.world.database.reading() as played:
        study = played.studies.get(clinic.rollout.id)
        stores.studies.add(replace(study, rollout=JUDGED, app=APP))
        stores.studies.add_log(JUDGED, played.studies.whole_log(clinic.rollout.id))
        for point in played.series.points(clinic.rollout.id):
            stores.series.add_point(JUDGED, point)
    for decision in clinic.decisions:
        stores.decisions.add(replace(decision, rollout=JUDGED, app=APP))


@pytest.fixture(scope="module")
def filled(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, paused_once: Clinic
) -> Iterator[dict[int, SqlDatabase]]:
    """A database of each size."""
    with databases(migrated_sqlite, tmp_path_factory.mktemp("releases")) as found:
        for database in found.values():
            with database.transaction() as stores:
                judge(stores, paused_once)
        yield found


@pytest.fixture
def clients(
    filled: dict[int, SqlDatabase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[int, FlaskClient]:
    """Browsers of somebody who is let in without a question to the database."""
    monkeypatch.setattr(Door, "_visitor", lambda _: VERA)
    world = World(folder=tmp_path, clock=FakeClock(AT))
    return {
        size: create_app(world.services(database=database)).test_client()
        for size, database in filled.items()
    }


Look = Callable[[FlaskClient], TestResponse]


@pytest.mark.parametrize(
    ("look", "most"),
    [(app_page, 9), (audit_page, 4), (policy_page, 9), (evidence_page, 7), (explain_page, 12)],
    ids=("app", "audit", "policy", "evidence", "explain"),
)
def test_a_page_costs_as_much_with_many_releases_as_with_few(
    filled: dict[int, SqlDatabase], clients: dict[int, FlaskClient], look: Look, most: int
) -> None:
    asked, answers = {}, {}
    for size, database in filled.items():
        look(clients[size])  # the first look reads templates
        with statements(database) as found:
            answers[size] = look(clients[size])
        asked[size] = len(found)

    for answer in answers.values():
        assert answer.status_code == 200, answer.text
        assert len(answer.data) < MOST_BYTES

    assert asked[10] == asked[1_000] <= most, "\n\n".join(found)
