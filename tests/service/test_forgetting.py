"""Installs of a study want to be forgotten: real tables, and what was decided by their crashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from tests.admin_world import APP, World
from tests.fakes import FakeDatabase
from tests.service.clinic import FLEET, PAUSES, Clinic, a_clinic, key_of, settle, sicken
from update_server.evidence.recomputing import Recomputed, recompute
from update_server.evidence.state import Label, Scored
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.agents.pseudonyms import report_key
from update_server.service.agents.refresh import PEPPER, ensure_secrets
from update_server.service.ports import Event
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_entry
from update_server.store import SqlDatabase
from update_server.store.migration import migrate
from update_server.store.tables import metadata

SECRET = b"s" * 32


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic over SQLite, whose release was paused for its crashes."""
    url = f"sqlite:///{tmp_path}/serinus.db"
    migrate(url)
    database = SqlDatabase(url)
    ensure_secrets(database, lambda: SECRET)
    world = World(folder=tmp_path / "signer", database=cast("FakeDatabase", database))
    world.register()
    world.publish("2.0.0")
    world.complete("2.0.0")
    world.publish("2.1.0", rollback_to=["2.0.0"])
    clinic = a_clinic(world, terms=PAUSES)
    sicken(clinic)
    clinic.round()
    return clinic


def forget(clinic: Clinic, numbers: Iterable[int]) -> None:
    now = clinic.world.clock.now()
    clinic.spools.writer("web").events(
        [
            Event(
                app=APP,
                install_key=key_of(number),
                id="",
                at=now,
                received_at=now,
                kind=FORGET_KIND,
                version="",
            )
            for number in numbers
        ]
    )


def tables_with(clinic: Clinic, number: int) -> set[str]:
    """Return the tables in which anything holds a key of the install, as bytes or as text."""
    database = cast("SqlDatabase", clinic.world.database)
    install = key_of(number)
    found = set()
    with database.reading() as stores:
        pepper = stores.access.secret(PEPPER)
        keys = [report_key(pepper, APP, version, install) for version in ("2.0.0", "2.1.0")]
        names = [install[:8], *keys]
        for table in metadata.sorted_tables:
            for row in stores.telemetry._connection.execute(select(table)):
                held = repr(tuple(row)).encode() + b"".join(
                    bytes(value) for value in row if isinstance(value, bytes | memoryview)
                )
                if any(name in held or name.hex().encode() in held for name in names):
                    found.add(table.name)
    return found


def recomputed(clinic: Clinic, decision: StoredDecision) -> Recomputed:
    """Return what the log of now gives for *decision*."""
    with clinic.world.database.reading() as stores:
        stored = stores.studies.whole_log(clinic.rollout.id, first=decision.log_size)
    entries = [decode_entry(one) for one in stored]
    return recompute(
        decision.record,
        [one for one in entries if isinstance(one, Label)],
        [one for one in entries if isinstance(one, Scored)],
    )


def test_no_table_keeps_a_key_of_installs_that_a_decision_rests_on(clinic: Clinic) -> None:
    crashed, stays = clinic.candidates(FLEET)[:2]
    well = clinic.candidates(FLEET)[-1]
    before = {number: tables_with(clinic, number) for number in (crashed, stays, well)}

    forget(clinic, [crashed, well])
    settle(clinic)

    # The control: they would have been found.
    assert before[crashed] >= {"contacts", "crash_reports", "histories", "study_members"}
    assert before[well] >= {"contacts", "histories", "study_members"}
    assert tables_with(clinic, crashed) == tables_with(clinic, well) == set()
    assert tables_with(clinic, stays) == before[stays]


def test_what_was_decided_by_their_crashes_is_replayed_to_the_bit(clinic: Clinic) -> None:
    decision = clinic.decisions[-1]
    assert decision.verdict == "pause"

    forget(clinic, clinic.candidates(FLEET)[:40])
    settle(clinic)

    again = recomputed(clinic, decision)
    assert (again.same_bits, again.contested, again.differing) == (True, False, ())
    assert again.log_e_by_metric["crash"] == decision.record["log_e_by_metric"]["crash"]["log_e"]
    assert decision in clinic.decisions  # as it was
    with clinic.world.database.reading() as stores:
        assert stores.registers.count_members(clinic.rollout.id) == len(FLEET) - 40


def test_a_log_without_their_crashes_would_not_be(clinic: Clinic) -> None:
    """The control: the log does hold them, without their names."""
    decision = clinic.decisions[-1]
    with clinic.world.database.reading() as stores:
        stored = stores.studies.whole_log(clinic.rollout.id, first=decision.log_size)
    labels = [one for one in map(decode_entry, stored) if isinstance(one, Label)]

    assert recompute(decision.record, labels[40:], []).contested
