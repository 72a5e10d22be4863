"""The page of a release asks the database a dozen things, all of them at one instant."""

from __future__ import annotations

from pathlib import Path

from tests.admin_world import World
from tests.dashboard.releases import clinics
from tests.dashboard.visitors import Visitors
from tests.service.clinic import Clinic, a_clinic
from tests.statements import statements
from update_server.service.agents.refresh import ensure_secrets
from update_server.store import SqlDatabase
from update_server.store.migration import migrate

MOST = 12


def stored(folder: Path) -> tuple[Clinic, SqlDatabase]:
    """Return a release that the server paused, in a database of tables."""
    url = f"sqlite:///{folder / 'serinus.db'}"
    migrate(url)
    database = SqlDatabase(url)
    world = World(folder=folder / "signer", database=database)  # type: ignore[arg-type]
    ensure_secrets(world.database, lambda: b"s" * 32)
    world.register()
    for version, back in (("2.0.0", []), ("2.1.0", ["2.0.0"])):
        world.publish(version, rollback_to=back)
        if not back:
            world.complete(version)
    clinic = a_clinic(world, terms=clinics.PAUSES, ladder=clinics.LADDER)
    clinic.check_in(range(300))
    world.advance(60)
    clinic.round()
    clinic.crash(clinic.candidates(range(300))[:12])
    world.advance(700)
    clinic.round()
    return clinic, database


def test_a_dozen_statements_are_enough(tmp_path: Path) -> None:
    clinic, database = stored(tmp_path)
    ana, path = Visitors(clinic.world).ana, clinics.path_of(clinic)
    ana.get(path)  # the first look learns what does not change

    for asked in (path, f"{path}?live=1"):
        with statements(database) as found:
            answer = ana.get(asked)
        assert answer.status_code == 200
        assert len(found) <= MOST, "\n\n".join(found)
