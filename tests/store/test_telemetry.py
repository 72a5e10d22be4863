"""Contract of ports.Telemetry: every install and every event is counted once."""

from datetime import datetime

import pytest

from rollout.model import Arm
from tests.store.recounting import recounted
from tests.store.values import (
    HOUR,
    NOW,
    ROLLOUT,
    a_contact,
    a_control,
    a_group,
    a_rollout,
    an_app,
    an_enrolment,
    an_event,
)
from update_server.service.ports import (
    Checkpoint,
    Contact,
    Database,
    Event,
    FunnelCell,
    Phase,
    SeenInstall,
)

LATER = NOW + HOUR


@pytest.fixture
def live(database: Database) -> Database:
    """A database with the app ``demo`` and a rollout of its 2.1.0."""
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
    return database


def absorb(database: Database, *records: Contact | Event) -> int:
    contacts = [record for record in records if isinstance(record, Contact)]
    events = [record for record in records if isinstance(record, Event)]
    with database.transaction() as stores:
        return len(stores.telemetry.absorb(contacts, events))


def funnel(
    database: Database, rollout_id: str = "ro_7k2m", silent_before: datetime = NOW, most: int = 2
) -> dict[tuple[str, str, str], int]:
    with database.reading() as stores:
        rollout = a_rollout(rollout_id)
        reached = stores.telemetry.funnels([rollout.id])[rollout.id]
        cells = [
            *reached,
            *recounted(stores, rollout, silent_before=silent_before, most=most).silent,
        ]
    counted = {(cell.ring, str(cell.arm), str(cell.step)): cell.installs for cell in cells}
    assert len(counted) == len(cells)
    return counted


def test_a_candidate_counts_in_its_ring(live: Database) -> None:
    absorb(live, a_contact("1"), a_contact("2"), a_control("3"))

    assert funnel(live) == {
        ("1%", "candidate", "contacts"): 2,
        ("1%", "candidate", "offered"): 2,
        ("1%", "control", "contacts"): 1,
    }


def test_cells_come_in_the_order_of_ring_arm_and_step(live: Database) -> None:
    absorb(live, a_contact("1"), an_event("1", phase=Phase.HEALTHY), a_control("2"))

    with live.reading() as stores:
        cells = stores.telemetry.funnels([ROLLOUT])[ROLLOUT]

    assert cells == [
        FunnelCell(ring="1%", arm=Arm.CANDIDATE, step="contacts", installs=1),
        FunnelCell(ring="1%", arm=Arm.CANDIDATE, step="offered", installs=1),
        FunnelCell(ring="1%", arm=Arm.CANDIDATE, step="healthy", installs=1),
        FunnelCell(ring="1%", arm=Arm.CONTROL, step="contacts", installs=1),
    ]


def test_an_install_counts_once_however_often_it_checks_in(live: Database) -> None:
    for at in (NOW, LATER):
        absorb(live, a_contact(at=at), a_contact(at=at))

    assert funnel(live)["1%", "candidate", "contacts"] == 1


def test_every_step_is_counted_for_itself(live: Database) -> None:
    steps = [an_event(event_id=f"e {phase}", phase=phase) for phase in Phase]

    absorb(live, a_contact(), *steps)

    assert funnel(live) == {("1%", "candidate", step): 1 for step in ("contacts", *map(str, Phase))}


def test_an_event_id_counts_once_for_each_install_and_app(live: Database) -> None:
    with live.transaction() as stores:
        stores.apps.add(an_app("other"))

    assert absorb(live, an_event("1"), an_event("1"), an_event("2")) == 2
    assert absorb(live, an_event("1"), an_event("1", app="other")) == 1
    assert absorb(live, an_event("2"), an_event("3", "e2"), an_event("3", "e3")) == 2


def test_of_two_events_with_one_id_the_first_counts(live: Database) -> None:
    absorb(live, a_contact(), an_event(phase=Phase.APPLIED), an_event(phase=Phase.FAILED))
    absorb(live, an_event(phase=Phase.HEALTHY))

    assert ("1%", "candidate", "applied") in funnel(live)
    assert not {("1%", "candidate", step) for step in ("failed", "healthy")} & set(funnel(live))


def test_other_kinds_of_events_are_remembered_by_id_only(live: Database) -> None:
    crash = an_event(kind="crash", phase=None, version="2.1.0")

    assert [absorb(live, crash), absorb(live, crash)] == [1, 0]

    assert funnel(live) == {}


def test_the_ring_and_the_arm_are_those_of_the_first_contact(live: Database) -> None:
    absorb(live, a_contact("1"), a_control("2"))
    absorb(live, a_contact("1", ring="10%"), a_control("1", ring="10%"), a_control("2", ring="10%"))

    assert funnel(live) == {
        ("1%", "candidate", "contacts"): 1,
        ("1%", "candidate", "offered"): 1,
        ("1%", "control", "contacts"): 1,
    }


@pytest.mark.parametrize("at_once", [True, False])
def test_a_control_install_that_a_wider_ring_takes_in_counts_there(
    live: Database, *, at_once: bool
) -> None:
    before, after = a_control(), a_contact(ring="10%", at=LATER)

    if at_once:
        absorb(live, before, after)
    else:
        absorb(live, before)
        absorb(live, after)

    assert funnel(live) == {
        ("10%", "candidate", "contacts"): 1,
        ("10%", "candidate", "offered"): 1,
    }


def test_what_concerns_no_rollout_is_in_no_funnel(live: Database) -> None:
    held = a_contact("1", ring=None, arm=None)
    none = a_contact("2", rollout=None, ring=None, arm=None)

    absorb(live, held, none)

    assert funnel(live) == {}


def test_an_offer_of_another_version_is_no_offer_of_this_one(live: Database) -> None:
    absorb(live, a_contact("1", offered="2.0.5"), a_contact("2", offered="no version"))

    assert funnel(live) == {("1%", "candidate", "contacts"): 2}


def test_a_control_install_has_no_ring_where_there_is_none(live: Database) -> None:
    absorb(live, a_control(ring=None), an_event("2"))

    assert funnel(live) == {("", "control", "contacts"): 1, ("", "candidate", "applied"): 1}


# --- which rollout an event is about ---


def test_an_event_is_about_the_newest_rollout_of_its_version(live: Database) -> None:
    with live.transaction() as stores:
        stores.rollouts.add(a_rollout("ro_newer"))
        stores.rollouts.add(a_rollout("ro_beta", channel="beta"))

    absorb(live, an_event())

    assert [len(funnel(live, name)) for name in ("ro_7k2m", "ro_newer", "ro_beta")] == [0, 1, 0]


def test_the_version_of_an_event_is_the_one_it_leads_to(live: Database) -> None:
    absorb(live, an_event("1", version="2.0.0", body={"to": "2.1.0", "from": "2.0.0"}))
    absorb(live, an_event("2", version="2.1.0", body={"to": "2.2.0"}))

    assert funnel(live) == {("", "candidate", "applied"): 1}


@pytest.mark.parametrize("version", ["2.1", "v2.1.0", "2.1.0.0"])
def test_another_spelling_of_a_version_is_the_same_version(live: Database, version: str) -> None:
    absorb(live, an_event(version=version))

    assert funnel(live) == {("", "candidate", "applied"): 1}


@pytest.mark.parametrize("body", [{"to": "no version"}, {"to": None}, {"to": "3.0"}])
def test_an_event_about_no_rollout_is_seen_but_not_counted(
    live: Database, body: dict[str, object]
) -> None:
    event = an_event(body=body)

    assert [absorb(live, event), absorb(live, event)] == [1, 0]

    assert funnel(live) == {}


def test_an_event_without_a_channel_has_that_of_the_last_contact(live: Database) -> None:
    with live.transaction() as stores:
        stores.rollouts.add(a_rollout("ro_beta", channel="beta"))
    absorb(live, a_contact("1", channel="beta", rollout=None, arm=None))

    absorb(live, an_event("1", channel=None))
    absorb(live, a_contact("2", rollout=None, arm=None), an_event("2", channel=None))
    absorb(live, a_contact("3", channel="dev", rollout=None, arm=None))
    absorb(live, an_event("3", channel=None))

    assert funnel(live, "ro_beta") == {("", "candidate", "applied"): 1}
    assert funnel(live) == {("", "candidate", "applied"): 1}


def test_without_any_channel_only_a_version_of_a_single_channel_is_matched(
    live: Database,
) -> None:
    absorb(live, an_event("1", channel=None))
    with live.transaction() as stores:
        stores.rollouts.add(a_rollout("ro_beta", channel="beta"))

    absorb(live, an_event("2", channel=None))

    assert funnel(live) == {("", "candidate", "applied"): 1}
    assert funnel(live, "ro_beta") == {}


def test_an_event_before_the_first_contact_counts_where_the_contact_says(live: Database) -> None:
    absorb(live, an_event())
    assert funnel(live) == {("", "candidate", "applied"): 1}

    absorb(live, a_contact(ring="internal", arm=Arm.INTERNAL))

    assert funnel(live)["internal", "internal", "applied"] == 1


# --- silence ---


def test_an_install_that_applied_and_never_came_back_is_silent(live: Database) -> None:
    absorb(live, a_contact("1"), an_event("1", phase=Phase.APPLIED))
    absorb(live, a_contact("2", ring="internal", arm=Arm.INTERNAL))
    absorb(live, an_event("2", phase=Phase.LAUNCHED))

    cells = funnel(live, silent_before=LATER)

    assert cells["1%", "candidate", "silent"] == 1
    assert cells["internal", "internal", "silent"] == 1


@pytest.mark.parametrize(
    ("contact", "event", "silent_before"),
    [
        (a_contact(), an_event(phase=Phase.APPLIED), NOW),
        (a_contact(), an_event(phase=Phase.STAGED), LATER),
        (a_control(), an_event(phase=Phase.APPLIED), LATER),
    ],
    ids=["came back in time", "did not apply it", "control"],
)
def test_who_is_not_silent(
    live: Database, contact: Contact, event: Event, silent_before: datetime
) -> None:
    absorb(live, contact, event)

    assert "silent" not in {step for _, _, step in funnel(live, silent_before=silent_before)}


def test_any_later_contact_ends_the_silence(live: Database) -> None:
    absorb(live, a_contact(), an_event())
    absorb(live, a_contact(at=LATER, rollout=None, arm=None))

    assert ("1%", "candidate", "silent") not in funnel(live, silent_before=LATER)


def test_who_was_never_seen_is_silent_from_its_last_event_on(live: Database) -> None:
    absorb(live, an_event(event_id="e1"), an_event(event_id="e2", received_at=LATER))

    assert ("", "candidate", "silent") not in funnel(live, silent_before=LATER)
    assert ("", "candidate", "silent") in funnel(live, silent_before=LATER + HOUR)


# --- the last contact of every install ---


def test_each_install_runs_the_version_it_told_last(live: Database) -> None:
    absorb(live, a_contact("1"), a_contact("2"), a_contact("3", platform="windows-x86_64"))
    absorb(live, a_contact("1", version="2.1.0", at=LATER))

    with live.reading() as stores:
        assert stores.telemetry.versions("demo") == [
            ("stable", "linux-x86_64", "2.0.0", 1),
            ("stable", "linux-x86_64", "2.1.0", 1),
            ("stable", "windows-x86_64", "2.0.0", 1),
        ]
        assert stores.telemetry.versions("other") == []


def test_an_older_contact_that_comes_late_changes_nothing(live: Database) -> None:
    absorb(live, a_contact(version="2.1.0", at=LATER))
    absorb(live, a_contact(version="2.0.0", at=NOW))

    with live.reading() as stores:
        assert stores.telemetry.versions("demo") == [("stable", "linux-x86_64", "2.1.0", 1)]


def test_odd_text_from_an_install_does_not_stop_the_digest(live: Database) -> None:
    odd = "nul \x00 and \U0001f424"

    absorb(live, a_contact(snapshot_sha256=odd, timestamp_version=2**53, reason=odd))
    new = absorb(live, an_event(event_id=odd), an_event(event_id=odd + "x" * 9_999))

    assert new == 2


def test_an_empty_batch_is_nothing_new(live: Database) -> None:
    assert absorb(live) == 0


@pytest.mark.no_cover
def test_a_large_batch_is_counted_exactly(live: Database) -> None:
    contacts = [a_contact(str(n)) for n in range(6_000)]
    events = [an_event(str(n), channel=None) for n in range(6_000)]

    assert absorb(live, *contacts, *events) == 6_000

    assert funnel(live, most=1_000)["1%", "candidate", "applied"] == 6_000


# --- forgetting ---


def test_a_forgotten_install_is_in_no_count(live: Database) -> None:
    with live.transaction() as stores:
        stores.access.add_group(a_group())
        for install in ("1", "2"):
            stores.access.add_enrolment(an_enrolment(install, install_key=install.encode()))
    for install in ("1", "2"):
        absorb(live, a_contact(install), an_event(install))

    with live.transaction() as stores:
        stores.telemetry.forget_install("demo", b"1")

    assert set(funnel(live).values()) == {1}
    with live.reading() as stores:
        assert stores.telemetry.versions("demo") == [("stable", "linux-x86_64", "2.0.0", 1)]
        assert [one.install_key for one in stores.access.enrolments("demo")] == [b"2"]
    assert [absorb(live, an_event("1")), absorb(live, an_event("2"))] == [1, 0]


def test_what_is_old_expires(live: Database) -> None:
    absorb(live, a_contact("old"), a_contact("new", at=LATER))
    absorb(live, an_event("old"), an_event("new", received_at=LATER))

    with live.transaction() as stores:
        stores.telemetry.expire(contacts_before=LATER, events_before=LATER)

    with live.reading() as stores:
        assert stores.telemetry.versions("demo") == [("stable", "linux-x86_64", "2.0.0", 1)]
    assert [absorb(live, an_event("old")), absorb(live, an_event("new"))] == [1, 0]


def test_how_far_an_install_came_goes_when_it_was_not_heard_of_for_long(live: Database) -> None:
    absorb(live, a_contact("gone"), a_contact("back"))
    absorb(live, an_event("never seen", phase=Phase.HEALTHY))
    absorb(live, an_event("new", phase=Phase.HEALTHY, received_at=LATER))
    absorb(live, a_contact("back", at=LATER, rollout=None, ring=None, arm=None))
    before = funnel(live)

    with live.transaction() as stores:
        stores.telemetry.expire(contacts_before=LATER, events_before=LATER)

    def reached(step: str, counted: dict[tuple[str, str, str], int]) -> int:
        return sum(n for (*_, told), n in counted.items() if told == step)

    left = funnel(live)
    assert (reached("offered", before), reached("healthy", before)) == (2, 2)
    assert (reached("offered", left), reached("healthy", left)) == (1, 1)


# --- checkpoints ---


def test_a_checkpoint_is_kept_until_it_is_forgotten(database: Database) -> None:
    with database.transaction() as stores:
        assert stores.telemetry.checkpoint("one-000001") == 0
        for offset in (5, 2**40):
            stores.telemetry.put_checkpoint(Checkpoint(spool="one-000001", offset_bytes=offset))
        assert stores.telemetry.checkpoint("one-000001") == 2**40

        stores.telemetry.forget_checkpoint("one-000001")

        assert stores.telemetry.checkpoint("one-000001") == 0


def test_an_install_that_was_offered_it_first_counts_in_neither_arm(live: Database) -> None:
    first = a_contact("1", ring="first", arm=None)
    later = a_control("1", version="2.1.0", at=LATER)

    absorb(live, first)
    absorb(live, later, an_event("1", phase=Phase.HEALTHY))

    assert funnel(live) == {
        ("first", "internal", "contacts"): 1,
        ("first", "internal", "offered"): 1,
        ("first", "internal", "healthy"): 1,
    }


def test_the_ids_of_an_installs_events_are_remembered(database: Database) -> None:
    events = [an_event("1", "e2"), an_event("1", "e1"), an_event("2", "e3")]
    with database.transaction() as stores:
        stores.telemetry.absorb([], [*events, an_event("1", "e4", app="other")])

        assert list(stores.telemetry.event_ids("demo", b"1")) == ["e1", "e2"]
        assert list(stores.telemetry.event_ids("demo", b"3")) == []


class TestFinding:
    def test_installs_are_found_by_their_keys_and_by_how_these_begin(
        self, database: Database
    ) -> None:
        keys = [b"\x00" * 32, b"tag-one!" + b"k" * 24, b"\xff" * 32, b"\x01" + b"\xff" * 31]
        with database.transaction() as stores:
            contacts = [a_contact(install_key=key) for key in keys]
            elsewhere = a_contact(install_key=b"z" * 32, app="other")
            stores.telemetry.absorb([*contacts, elsewhere], [])

        asked = {key[:8] for key in keys} | {keys[1], b"nobody!!", b"z" * 8, b""}
        with database.reading() as stores:
            found = stores.telemetry.find("demo", asked)

        seen = {
            key: SeenInstall(install_key=key, channel="stable", platform="linux-x86_64")
            for key in keys
        }
        assert found == {key[:8]: seen[key] for key in keys} | {keys[1]: seen[keys[1]]}

    def test_many_are_found_at_once(self, database: Database) -> None:
        keys = [bytes([n % 256, n // 256]) * 16 for n in range(1_000)]
        with database.transaction() as stores:
            stores.telemetry.absorb([a_contact(install_key=key) for key in keys], [])

        with database.reading() as stores:
            found = stores.telemetry.find("demo", {key[:8] for key in keys})

        assert {tag: seen.install_key for tag, seen in found.items()} == {k[:8]: k for k in keys}

    def test_ids_that_were_seen_are_told(self, database: Database) -> None:
        with database.transaction() as stores:
            stores.telemetry.absorb([], [an_event(), an_event("2", "e2")])

        asked = [("demo", b"1", "e1"), ("demo", b"2", "e1"), ("other", b"1", "e1")]
        with database.reading() as stores:
            assert stores.telemetry.seen_ids(asked) == {("demo", b"1", "e1")}
            assert stores.telemetry.seen_ids([]) == set()


def test_a_step_that_was_set_aside_is_remembered_and_not_counted(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
        aside = an_event(quarantine="implausible")

        assert stores.telemetry.absorb([], [aside]) == [aside]
        assert stores.telemetry.absorb([], [an_event()]) == []
        assert stores.telemetry.funnels([ROLLOUT]) == {ROLLOUT: []}
