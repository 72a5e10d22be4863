"""Contract of what Histories and QuarantineStore tell of one install."""

from __future__ import annotations

from rollout.model import Arm
from tests.store.values import (
    HOUR,
    NOW,
    OTHER_ROLLOUT,
    ROLLOUT,
    a_contact,
    a_rollout,
    an_event,
)
from update_server.service.ports import Database, Phase
from update_server.service.ports.quarantine import Aside
from update_server.service.ports.studies import LastContact, Progress

KEY = b"1"


def test_of_an_install_that_never_came_nothing_is_told(database: Database) -> None:
    with database.reading() as stores:
        assert stores.histories.last_contact("demo", KEY) is None
        assert stores.histories.progress_of(ROLLOUT, KEY) is None
        assert stores.quarantine.of_install("demo", KEY) == []


def test_the_newest_check_in_of_an_install_is_told(database: Database) -> None:
    with database.transaction() as stores:
        stores.telemetry.absorb([a_contact(at=NOW - HOUR), a_contact(self_selected=True)], [])
        stores.telemetry.absorb([a_contact("2", version="1.0.0"), a_contact(app="other")], [])

    with database.reading() as stores:
        assert stores.histories.last_contact("demo", KEY) == LastContact(
            at=NOW,
            channel="stable",
            platform="linux-x86_64",
            version="2.0.0",
            action="update",
            reason="in_ring",
            offered="2.1.0",
            self_selected=True,
            telemetry="crash",
        )


def test_how_far_an_install_came_is_told_of_each_rollout(database: Database) -> None:
    with database.transaction() as stores:
        stores.telemetry.absorb([a_contact(), a_contact("2")], [])

    with database.reading() as stores:
        told = stores.histories.progress_of(ROLLOUT, KEY)
        assert told == Progress(ring="1%", arm=Arm.CANDIDATE, steps=("contacts",), last_at=NOW)
        assert stores.histories.progress_of(OTHER_ROLLOUT, KEY) is None


def test_steps_are_told_in_the_order_of_the_funnel(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
        events = [
            an_event(event_id=f"e{n}", phase=phase)
            for n, phase in enumerate((Phase.APPLIED, Phase.DOWNLOADED))
        ]
        stores.telemetry.absorb([a_contact()], events)

    with database.reading() as stores:
        told = stores.histories.progress_of(ROLLOUT, KEY)
    assert told is not None
    assert told.steps == ("contacts", Phase.OFFERED, Phase.DOWNLOADED, Phase.APPLIED)


def test_reports_set_aside_are_those_of_the_whole_key_and_of_its_beginning(
    database: Database,
) -> None:
    whole = b"12345678" + b"rest" * 6

    def aside(event_id: str, install: bytes, rule: str, app: str = "demo") -> Aside:
        event = an_event(
            install.decode(), event_id, app=app, kind="crash", phase=None, quarantine=rule
        )
        return Aside(event=event, arm="")

    with database.transaction() as stores:
        stores.quarantine.add(
            [
                aside("e1", whole, "unknown_version"),
                aside("e2", whole[:8], "implausible"),
                aside("e3", whole[:8], "implausible"),
                aside("e4", b"another", "implausible"),
                aside("e5", whole, "implausible", app="other"),
            ]
        )

    with database.transaction() as stores:
        told = stores.quarantine.of_install("demo", whole)
        stores.quarantine.accept("demo", "unknown_version", None)
        left = stores.quarantine.of_install("demo", whole)
    assert told == [("implausible", 2), ("unknown_version", 1)]
    assert left == [("implausible", 2)]
