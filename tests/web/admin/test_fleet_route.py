"""``…/fleet``: the installs as a whole."""

from __future__ import annotations

from tests.admin_world import APP, World
from tests.store.values import a_history
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role

PATH = f"/v1/admin/apps/{APP}/fleet"


def test_a_fleet_is_shown_to_viewers(world: World, ask: Ask) -> None:
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history()})

    response = ask("GET", PATH, role=Role.VIEWER)

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["sampled"] == 1
    assert set(response.json) == {
        "installs", "platforms", "sampled", "aged", "gap_seconds", "check_ins_a_day",
        "crash_a_day", "install_days",
    }  # fmt: skip


def test_gaps_are_shown_once_installs_have_come_back(world: World, ask: Ask) -> None:
    now = world.clock.now().timestamp()
    seen = tuple(now - 3_600.0 * n for n in range(5, 0, -1))
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history(first_at=now - 9e6, seen=seen)})

    response = ask("GET", PATH)

    assert response.json is not None
    assert response.json["gap_seconds"] == {"p10": 3_600.0, "p50": 3_600.0, "p90": 3_600.0}
