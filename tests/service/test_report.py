from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.model import Arm, RolloutId, RolloutState
from tests.admin_world import APP, STABLE, World, a_registered_world, a_world
from tests.store.crash_values import a_report
from tests.store.values import NOW
from update_server.service.crashes.in_rollout import newest_of
from update_server.service.crashes.outcomes import crash_free
from update_server.service.errors import NotRegisteredError, UnknownChannelError
from update_server.service.ports import Contact, Event, FunnelCell, NotFoundError, Phase, Role
from update_server.service.ports.crashes import UNTOLD, Cell, SessionCount, Tally
from update_server.service.ports.recounts import Recount

MINUTE = timedelta(minutes=1)


def test_a_rollout_is_shown_as_far_as_it_reaches(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    released.services().control.promote(released.caller(), APP, rollout.id)

    view = released.services().report.rollout(APP, rollout.id)

    assert view.published
    assert view.shape.exposure_bp == 1_000
    assert [ring.name for ring in view.shape.rings] == ["internal", "10%"]
    assert view.legal == ("promote", "pause", "pull")


def test_a_single_rollout_tells_what_its_installs_and_sessions_came_to(released: World) -> None:
    rollout = released.start("2.1.0")
    control = Cell(rollout=rollout.id, ring="1%", arm="control")
    candidate = replace(control, arm="candidate")
    now = released.clock.now().replace(minute=0, second=0, microsecond=0)
    counts = [
        SessionCount(
            app=APP,
            version="2.1.0",
            cell=cell,
            source=source,
            status=status,
            hour=now,
            sessions=number,
        )
        for cell, source, status, number in (
            (candidate, "sdk", "exited", 3),
            (candidate, "sdk", "crashed", 1),
            (candidate, "launch", "exited", 4),
            (control, "sdk", "ok", 2),
        )
    ]
    with released.database.transaction() as stores:
        stores.sessions.add([*counts, replace(counts[0], cell=Cell())])
        stores.crashes.note([a_report(cell=candidate), a_report("2", cell=candidate)])
        stores.crashes.note([a_report("3", version="2.0.0", cell=control)])

    outcomes = released.services().report.detail(APP, rollout.id).outcomes

    told = Tally(version="2.0.0", ring="1%", arm="control", crashed_installs=1)
    assert list(outcomes) == [
        told,
        replace(
            told,
            version="2.1.0",
            arm="candidate",
            crashed_installs=2,
            sessions={"sdk": {"exited": 3, "crashed": 1}, "launch": {"exited": 4}},
        ),
        replace(told, version="2.1.0", crashed_installs=0, sessions={"sdk": {"ok": 2}}),
    ]
    assert [crash_free(one.sessions.get("sdk", {})) for one in outcomes] == [None, 0.75, 1]


def test_of_many_rollouts_the_newest_crash_is_told_and_of_one_all(released: World) -> None:
    rollout = released.start("2.1.0")
    candidate = Cell(rollout=rollout.id, ring="1%", arm="candidate")
    control = replace(candidate, arm="control")
    with released.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report("1", cell=candidate, at=NOW),
                a_report("2", cell=candidate, signature="bb", at=NOW + MINUTE),
                a_report("3", cell=control, signature="bb", at=NOW + 2 * MINUTE),
                a_report("4", cell=control, signature="cc", at=NOW + 2 * MINUTE),
                a_report("5", cell=candidate, signature=UNTOLD, at=NOW + 2 * MINUTE),
            ]
        )

    report = released.services().report
    one = report.rollout(APP, rollout.id)

    assert {crash.signature for crash in one.crashes} == {"aa", "bb", "cc", UNTOLD}
    for listed in (report.live(APP), report.rollouts(APP)):
        assert listed[0].crashes == (newest_of(one.crashes),)
        assert listed[0].crashes[0].signature == "bb"


def test_a_wish_that_is_not_in_force_is_not_published(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        wish = replace(rollout, state=RolloutState.PAUSED, revision=2)
        stores.rollouts.replace(rollout, wish)

    assert not released.services().report.rollout(APP, rollout.id).published


def test_a_state_that_waits_to_be_published_is_not_published(released: World) -> None:
    rollout = released.start("2.1.0")
    state = released.signer.refresh(APP)
    with released.database.transaction() as stores:
        stores.journal.add(APP, state.timestamp_version, state.journal, released.clock.now())

    services = released.services()
    assert not services.report.rollout(APP, rollout.id).published
    server = services.exports.read(None).server
    assert server is not None
    assert server.unpublished_states == 1


def test_installs_are_counted_by_arm_and_step(released: World) -> None:
    rollout = released.start("2.1.0")
    contact = Contact(
        app=APP,
        install_key=b"k" * 32,
        at=released.clock.now(),
        channel=STABLE,
        platform="linux-x86_64",
        version="2.0.0",
        action="update",
        reason="in_ring",
        offered="2.1.0",
        rollout=rollout.id,
        ring="internal",
        arm=Arm.INTERNAL,
    )
    applied = Event(
        app=APP,
        install_key=b"k" * 32,
        id="2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11",
        at=released.clock.now(),
        received_at=released.clock.now(),
        kind="update",
        version="2.1.0",
        phase=Phase.APPLIED,
        channel=STABLE,
        platform="linux-x86_64",
    )
    with released.database.transaction() as stores:
        stores.telemetry.absorb([contact], [applied])

    report = released.services().report
    steps = {cell.step: cell.installs for cell in report.rollout(APP, rollout.id).cells}
    assert steps["offered"] == steps["contacts"] == 1
    assert "silent" not in steps
    assert report.versions(APP) == [(STABLE, "linux-x86_64", "2.0.0", 1)]


def test_silence_is_told_as_it_was_counted_last(released: World) -> None:
    rollout = released.start("2.1.0")
    counted_at = released.clock.now()
    silent = FunnelCell(ring="internal", arm=Arm.INTERNAL, step="silent", installs=7)
    before = released.services().report.rollout(APP, rollout.id)
    with released.database.transaction() as stores:
        recount = Recount(rollout=rollout.id, counted_at=counted_at, silent=(silent,))
        stores.recounts.put([recount])

    after = released.services().report.rollout(APP, rollout.id)

    assert (before.counted_at, before.cells) == (None, ())
    assert (after.counted_at, after.cells) == (counted_at, (silent,))


def test_only_live_rollouts_are_live(released: World) -> None:
    rollout = released.start("2.1.0")
    report = released.services().report

    assert [view.rollout.id for view in report.live()] == [rollout.id]
    assert report.live("other") == []
    assert [view.rollout.version for view in report.rollouts(APP)] == [
        Version("2.1.0"),
        Version("2.0.0"),
    ]


def test_releases_tell_their_files_and_state(released: World) -> None:
    rollout = released.start("2.1.0")
    released.services().control.pull(released.caller(), APP, rollout.id)
    released.publish("2.2.0")

    views = released.services().report.releases(APP)

    assert [(str(view.version), view.state) for view in views] == [
        ("2.2.0", "admitted"),
        ("2.1.0", "pulled"),
        ("2.0.0", "completed"),
    ]
    first = views[0].platforms[0]
    assert first.files[first.release.artifact.path].length_bytes > 0


def test_one_release_is_found_on_its_channel(released: World) -> None:
    report = released.services().report

    assert report.release(APP, Version("2.0.0")).channel == STABLE
    with pytest.raises(NotFoundError):
        report.release(APP, Version("2.0.0"), "beta")
    with pytest.raises(NotFoundError):
        report.release(APP, Version("7.0.0"))


def test_unknown_things_are_not_found(released: World) -> None:
    report = released.services().report

    for ask in (
        lambda: report.rollout("ghost", RolloutId("ro_none")),
        lambda: report.rollout(APP, RolloutId("ro_none")),
        lambda: report.rollouts("ghost"),
        lambda: report.releases("ghost"),
        lambda: report.versions("ghost"),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_the_policy_of_a_channel_is_the_signed_one(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", floor="1.0.0")

    view = world.services().report.policy(APP, STABLE)

    assert (view.policy.floor, view.version) == (Version("1.0.0"), 1)
    with pytest.raises(UnknownChannelError):
        world.services().report.policy(APP, "beta")


def test_before_registration_there_is_no_policy(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], ["linux-x86_64"])

    with pytest.raises(NotRegisteredError):
        world.services().report.policy(APP, STABLE)
