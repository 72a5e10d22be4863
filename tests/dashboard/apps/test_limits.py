"""Pages about an app cost the same with ten releases as with a thousand, and a thousand crashes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.admin_world import World
from tests.dashboard.records.test_limits import VERA
from tests.fakes import FakeClock
from tests.many_releases import APP, AT, NEWEST, databases
from tests.statements import statements
from tests.store.conftest import migrated_sqlite
from tests.store.crash_values import a_group, a_report, a_sample
from update_server.service.ports import Stores
from update_server.service.ports.arrivals import Arrived
from update_server.service.ports.crashes import Cell
from update_server.store import SqlDatabase
from update_server.web.admin.app import create_app
from update_server.web.dashboard.door import Door

__all__ = ["migrated_sqlite"]

MOST_BYTES = 50_000
WORST = f"{1:016x}"


def crash(stores: Stores, signatures: int) -> None:
    """Let installs crash in so many ways, and once in most of them."""
    names = [f"{number:016x}" for number in range(1, signatures + 1)]
    cell = Cell(rollout=NEWEST, ring="10%", arm="candidate")
    stores.crashes.note_groups([a_group(name, app=APP) for name in names])
    stores.crashes.note(
        [
            a_report(f"{name}{number}", app=APP, signature=name, version="2.0.0", at=AT, cell=cell)
            for number in range(2)
            for name in names
        ]
    )
    frames = [{"module": "notes", "function": f"f{number}"} for number in range(40)]
    stores.crashes.add_samples([a_sample(app=APP, signature=WORST, body={"frames": frames})])


def arrive(stores: Stores) -> None:
    """Have something arrive in each minute of two days."""
    stores.arrivals.add(
        [
            Arrived(app=APP, minute=AT - timedelta(minutes=n), kind=kind, events=9)
            for n in range(2_880)
            for kind in ("check_in", "crash", "session", "update")
        ]
    )


@pytest.fixture(scope="module")
def filled(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, SqlDatabase]]:
    """A database of each size."""
    with databases(migrated_sqlite, tmp_path_factory.mktemp("releases")) as found:
        for size, database in found.items():
            with database.transaction() as stores:
                crash(stores, size)
                arrive(stores)
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


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/crashes", 12),
        (f"/crashes/{WORST}", 12),
        ("/telemetry", 12),
        ("/telemetry?hours=48", 12),
        ("/fleet", 12),
    ],
    ids=("crashes", "crash", "telemetry", "telemetry of two days", "fleet"),
)
def test_a_page_costs_as_much_with_many_as_with_few(
    filled: dict[int, SqlDatabase], clients: dict[int, FlaskClient], path: str, most: int
) -> None:
    asked, sent = {}, {}
    for size, database in filled.items():
        clients[size].get(f"/apps/{APP}{path}")  # the first look reads templates
        with statements(database) as found:
            answer = clients[size].get(f"/apps/{APP}{path}")
        assert answer.status_code == 200, answer.text
        asked[size], sent[size] = len(found), len(answer.data)

    assert max(sent.values()) < MOST_BYTES
    assert asked[10] == asked[1_000] <= most, "\n\n".join(found)
