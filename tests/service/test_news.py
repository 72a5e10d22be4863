"""People are told of a change in the transaction in which it happens, and of no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model import Actor, Approvals, Arm, Audience, Automatic, Rollout, RolloutState
from tests.admin_world import APP, STABLE, World
from tests.judge_world import JudgeWorld
from tests.judge_world import a_world as a_crashless_world
from tests.kill_switch import KilledError, KillSwitch
from tests.service.clinic import (
    DAY,
    FLEET,
    OPEN,
    PAUSES,
    Clinic,
    a_clinic,
    ill_on_windows,
    key_of,
    quiet,
    settle,
    sicken,
    staffed,
)
from update_server.service.errors import ServiceError
from update_server.service.notices import announcements
from update_server.service.notices.message_text import Said
from update_server.service.notices.news import scene_of
from update_server.service.notices.verdict_news import new_signatures, tell_new_signatures
from update_server.service.ports import Enrolment, Event, Group, SignerRefusedError
from update_server.service.ports.outbox import Alert, Level, Message
from update_server.service.ports.signatures import Sighting
from update_server.service.ports.studies import StoredDecision


def told(world: World) -> Sequence[Message]:
    """Return all messages, oldest first."""
    with world.database.reading() as stores:
        return list(reversed(stores.outbox.about(APP, 1_000)))


def kinds(world: World) -> list[str]:
    return [each.type.removeprefix("serinus.") for each in told(world)]


def alerts(world: World) -> list[Alert]:
    with world.database.reading() as stores:
        return list(stores.alerts.unresolved())


def reasons(world: World) -> list[str]:
    return [each.reason for each in alerts(world)]


def forget_all(world: World) -> None:
    """Let nobody have been told of anything before."""
    with world.database.transaction() as stores:
        for message in stores.outbox.unrouted(1_000):
            stores.outbox.route(message.id, [], world.clock.now())


def paused_by_ann(world: World) -> Rollout:
    rollout = world.start("2.1.0")
    return world.services().control.pause(world.person("Ann"), APP, rollout.id, reason="looks bad")


# --- people's verbs -----------------------------------------------------------------------


def test_a_start_and_what_makes_way_for_it_are_told(released: World) -> None:
    world = released
    before = len(told(world))
    rollout = world.start("2.1.0")

    [message] = told(world)[before:]
    assert message.type == "serinus.rollout.started"
    assert (message.app, message.channel, message.rollout) == (APP, STABLE, rollout.id)
    assert (message.version, message.ring, message.state) == ("2.1.0", "internal", "active")
    assert (message.level, message.alert, message.decision) == (Level.INFORMS, "", None)
    assert message.at == rollout.started_at


def test_a_pause_by_a_person_informs_and_names_who_and_why(released: World) -> None:
    rollout = paused_by_ann(released)

    message = told(released)[-1]
    assert message.type == "serinus.rollout.paused"
    assert (message.level, message.actor, message.state) == (Level.INFORMS, "Ann", "paused")
    assert f"{APP}, stable, " in message.text
    assert "by Ann. Paused 2.1.0 at ring internal: looks bad. No further" in message.text
    assert message.sentence == "Paused 2.1.0 at ring internal: looks bad."
    assert alerts(released) == []
    assert message.at == rollout.changed_at


def test_the_same_verb_again_tells_nothing_again(released: World) -> None:
    rollout = paused_by_ann(released)
    before = told(released)

    released.services().control.pause(released.person("Bob"), APP, rollout.id, reason="me too")

    assert told(released) == before


def test_each_verb_has_its_message(released: World) -> None:
    world, rollout = released, paused_by_ann(released)
    control = world.services().control
    begun = len(told(world))
    control.resume(world.person("Ann"), APP, rollout.id, reason="all is well")
    world.advance(60)
    control.promote(world.person("Ann"), APP, rollout.id)
    control.pull(world.person("Ann"), APP, rollout.id, reason="no")

    assert kinds(world)[begun:] == ["rollout.resumed", "rollout.promoted", "rollout.pulled"]
    assert told(world)[-1].text.endswith(
        "0 installs are being given 2.0.0 at their next check-in: serinus rollout show 2.1.0"
    )


def test_a_verb_that_is_refused_tells_nothing_or_takes_it_back(released: World) -> None:
    world, rollout = released, paused_by_ann(released)
    before = len(told(world))

    with pytest.raises(ServiceError):
        world.services().control.promote(world.person("Ann"), APP, rollout.id)

    assert len(told(world)) == before


def test_what_the_signer_refuses_is_taken_back_and_told(released: World) -> None:
    world = released
    rollout = world.start("2.1.0")
    before = len(told(world))
    lowly = replace(world.person("Ann"), secret="srn_not-a-token")

    with pytest.raises((SignerRefusedError, ServiceError)):
        world.services().control.promote(lowly, APP, rollout.id, override=True, reason="in a hurry")

    assert kinds(world)[before:] == ["rollout.promoted", "rollout.taken_back"]
    message = told(world)[-1]
    assert "automatic. Took back what was asked for 2.1.0: " in message.text
    assert message.text.endswith("It is active at ring internal: serinus rollout show 2.1.0")


def test_there_is_a_message_exactly_if_the_change_was_stored(
    released: World, tmp_path: Path
) -> None:
    """Killed at every step of a pause; with the control that the last one was not."""
    rollout = released.start("2.1.0")
    said = len(told(released))
    for moment in range(100):
        world = released.fork(tmp_path / f"fork-{moment}")
        switch = KillSwitch(moment)
        services = world.services(
            database=switch.database(world.database),
            blobs=switch.blobs(world.blobs),
            signer=switch.signer(world.signer),
        )
        try:
            services.control.pause(world.caller(), APP, rollout.id)
        except KilledError:
            is_paused = world.rollout(rollout).state is RolloutState.PAUSED
            assert (len(told(world)) == said + 1) == is_paused
        else:
            assert moment > 2
            assert len(told(world)) == said + 1
            return
    raise AssertionError("the pause never ended")


# --- the judge ----------------------------------------------------------------------------


@pytest.fixture
def sick(released: World) -> Clinic:
    clinic = a_clinic(released, terms=PAUSES)
    sicken(clinic)
    forget_all(clinic.world)
    return clinic


def test_an_automatic_pause_pages_with_its_record(sick: Clinic) -> None:
    sick.round()

    message = told(sick.world)[-1]
    [decision] = [each for each in sick.decisions if each.verdict == "pause"]
    assert (message.type, message.level) == ("serinus.rollout.paused", Level.PAGES)
    assert message.decision == decision.record
    assert message.sentence == decision.record["sentence"]
    assert f", automatic. {decision.record['sentence']} " in message.text
    assert message.text.endswith("or resumed by 2 people: serinus rollout show 2.1.0")
    [alert] = alerts(sick.world)
    assert (alert.reason, alert.message, alert.id) == ("paused", message.id, message.alert)


def test_what_cannot_be_put_into_words_pauses_all_the_same(
    sick: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that an older version wrote may lack what the words want."""

    def lacking(*_: object) -> Said:
        raise KeyError("jackknife")

    monkeypatch.setattr(announcements, "paused", lacking)
    sick.round()

    message = told(sick.world)[-1]
    assert sick.state is RolloutState.PAUSED
    assert message.level is Level.PAGES
    assert message.subject == "PAUSED demo 2.1.0 ring half"
    assert f"automatic. {sick.now.reason} See serinus rollout show 2.1.0" in message.text


def test_a_pause_is_told_once_however_long_it_lasts(sick: Clinic) -> None:
    sick.round()
    settle(sick, 6)

    assert kinds(sick.world).count("rollout.paused") == 1


def test_resuming_ends_the_alert_and_says_so_to_whoever_was_paged(sick: Clinic) -> None:
    sick.round()
    [alert] = alerts(sick.world)
    sick.world.change_policy(
        ramp=sick.rollout.ladder, approvals=Approvals(resume_after_auto_pause=1)
    )

    sick.world.services().control.resume(
        sick.world.person("Ann"), APP, sick.rollout.id, reason="forged"
    )

    message = told(sick.world)[-1]
    assert (message.type, message.level) == ("serinus.rollout.resumed", Level.INFORMS)
    assert message.resolves == (alert.id,)
    assert alerts(sick.world) == []


def test_a_second_pause_after_a_resumption_pages_again(sick: Clinic) -> None:
    sick.round()
    sick.world.change_policy(
        ramp=sick.rollout.ladder, approvals=Approvals(resume_after_auto_pause=1)
    )
    control = sick.world.services().control
    control.resume(sick.world.person("Ann"), APP, sick.rollout.id, reason="forged")
    settle(sick)
    control.pause(sick.world.caller(), APP, sick.rollout.id, reason="again", by=Actor.AUTOMATIC)

    assert kinds(sick.world).count("rollout.paused") == 2


def test_keeping_it_paused_acknowledges_the_alert(sick: Clinic) -> None:
    sick.round()
    before = kinds(sick.world)

    sick.world.services().control.pause(
        sick.world.person("Ann"), APP, sick.rollout.id, reason="looking into it"
    )

    [alert] = alerts(sick.world)
    assert alert.acknowledged_by == "Ann"
    assert kinds(sick.world) == before
    with sick.world.database.reading() as stores:
        [record] = stores.audit.page(app=APP, before_seq=None, limit=1)
    assert (record.actor, record.action) == ("Ann", "alert.acknowledge")


def test_the_judge_acknowledges_nothing(sick: Clinic) -> None:
    sick.round()
    sick.round()

    assert [alert.acknowledged_by for alert in alerts(sick.world)] == [""]


def test_an_automatic_pull_pages_until_a_newer_version_is_started(released: World) -> None:
    clinic = a_clinic(released)
    sicken(clinic)
    clinic.round()

    message = told(released)[-1]
    assert (message.type, message.level) == ("serinus.rollout.pulled", Level.PAGES)
    assert reasons(released) == ["pulled"]
    released.publish("2.2.0")
    released.start("2.2.0")

    started = told(released)[-1]
    assert (started.type, started.resolves) == ("serinus.rollout.started", (message.alert,))
    assert alerts(released) == []


def test_pulling_what_is_pulled_acknowledges_it(released: World) -> None:
    clinic = a_clinic(released)
    sicken(clinic)
    clinic.round()

    released.services().control.pull(released.person("Ann"), APP, clinic.rollout.id)

    assert [alert.acknowledged_by for alert in alerts(released)] == ["Ann"]


def test_a_start_on_another_channel_ends_no_alert_of_a_pull(released: World) -> None:
    clinic = a_clinic(released)
    sicken(clinic)
    clinic.round()
    with released.database.transaction() as stores:
        [alert] = stores.alerts.unresolved()
        stores.alerts.resolve(alert.id, released.clock.now())
        stores.alerts.open(replace(alert, id="al_lost", rollout="ro_unknown"))
    released.publish("2.2.0")
    released.start("2.2.0")

    assert [each.id for each in alerts(released)] == ["al_lost"]


def test_a_pause_that_the_policy_leaves_to_people_is_told(released: World) -> None:
    clinic = a_clinic(released, terms=PAUSES, automatic=Automatic(pause=False))
    sicken(clinic)

    clinic.round()
    settle(clinic)

    assert kinds(released).count("alert.advised") == 1
    message = next(each for each in told(released) if each.type == "serinus.alert.advised")
    assert "Nothing was done: the signed policy leaves pausing to people. 2.1.0 is" in message.text
    assert message.level is Level.PAGES
    assert reasons(released) == ["advised"]


def test_advice_is_over_once_somebody_pauses(released: World) -> None:
    clinic = a_clinic(released, terms=replace(OPEN, automatic=frozenset()))
    sicken(clinic)
    clinic.round()
    assert reasons(released) == ["advised"]
    [alert] = alerts(released)

    released.services().control.pause(released.person("Ann"), APP, clinic.rollout.id)

    assert told(released)[-1].resolves == (alert.id,)
    assert alerts(released) == []


def test_a_held_platform_is_told_until_the_hold_is_lifted(released: World) -> None:
    clinic = ill_on_windows(released)
    clinic.round()
    settle(clinic)

    [message] = [each for each in told(released) if each.type == "serinus.rollout.held"]
    assert message.level is Level.PAGES
    assert "No further install on windows-x86_64 is offered 2.1.0" in message.text
    [hold] = released.services().holds.all(APP)
    released.services().holds.lift(released.person("Ann"), APP, hold.hold.id, reason="mended")

    resolved = told(released)[-1]
    assert (resolved.type, resolved.resolves) == ("serinus.alert.resolved", (message.alert,))
    assert "by Ann. Resolved after" in resolved.text


def test_a_hold_of_a_person_is_told_nobody(released: World) -> None:
    clinic = ill_on_windows(released)
    before = kinds(released)

    released.services().holds.add(
        released.person("Ann"),
        APP,
        STABLE,
        title="Linux is not ready",
        link="https://status.example.org/",
        audience=Audience(platform=("linux-x86_64",)),
        rollout=clinic.rollout.id,
    )

    assert kinds(released) == before


# --- nothing to be said -------------------------------------------------------------------


def test_no_verdict_for_twice_the_soak_is_told_once(released: World) -> None:
    clinic = a_clinic(released, terms=replace(OPEN, no_verdict_alert_soaks=2.0))
    settle(clinic, 8)

    [message] = [each for each in told(released) if each.type == "serinus.alert.no_verdict"]
    assert message.level is Level.PAGES
    assert "Nothing is known to be wrong, and nothing is known to be right" in message.text
    assert message.decision is not None
    assert message.decision["sentence"] in message.text
    assert reasons(released) == ["no_verdict"]


def test_no_verdict_is_waited_for_twice_the_soak(released: World) -> None:
    clinic = a_clinic(released, terms=replace(OPEN, no_verdict_alert_soaks=100.0))
    settle(clinic, 8)

    assert reasons(released) == []


def test_a_verdict_ends_that_alert(released: World) -> None:
    clinic = a_clinic(released)
    settle(clinic, 4)
    assert reasons(released) == ["no_verdict"]

    clinic.check_in(FLEET)
    settle(clinic, 3)
    clinic.crash(clinic.candidates(FLEET)[:2])
    clinic.crash(clinic.controls(FLEET)[:2])
    settle(clinic, 6)

    assert any(each.resolves for each in told(released))
    assert "no_verdict" not in reasons(released)


def test_the_last_step_of_a_ladder_waits_for_no_verdict(released: World) -> None:
    clinic = a_clinic(released)
    world = released
    world.advance(DAY)
    rollout = world.services().control.promote(
        world.caller(), APP, clinic.rollout.id, override=True, reason="to all"
    )
    assert rollout.position == 1
    settle(clinic, 8)

    assert "no_verdict" not in reasons(released)


def test_a_soaked_ring_that_opens_by_itself_is_told(released: World) -> None:
    clinic = staffed(released)
    quiet(clinic)

    message = next(
        each
        for each in told(released)
        if (each.type, each.version) == ("serinus.rollout.promoted", "2.1.0")
    )
    assert (message.level, message.actor) == (Level.INFORMS, "serinus")
    assert message.sentence.startswith("Promoted 2.1.0 from internal to half: ")
    assert message.decision is not None


def test_when_nothing_is_received_any_more_that_is_told_until_something_is(
    released: World,
) -> None:
    clinic = staffed(released, terms=replace(OPEN, automatic=frozenset()))
    quiet(clinic, 2)
    for _ in range(4):
        released.advance(DAY / 2)
        clinic.round()
    assert "telemetry_silent" in reasons(released)
    [message] = [each for each in told(released) if each.type == "serinus.alert.telemetry_silent"]
    assert "Look at the server first: serinus doctor" in message.text

    quiet(clinic, 2)

    assert "telemetry_silent" not in reasons(released)
    resolved = next(each for each in told(released) if message.alert in each.resolves)
    assert resolved.subject.startswith("RESOLVED TELEMETRY SILENT demo 2.1.0")


def test_a_crash_that_stands_out_is_named_by_its_title(released: World) -> None:
    clinic = a_clinic(released)
    sighting = Sighting(
        app=APP,
        channel=STABLE,
        version="2.1.0",
        comparable="1f2e",
        title="SIGSEGV gpu::Flush",
        at=released.clock.now(),
    )
    decision = StoredDecision(
        id="de_1",
        rollout=clinic.rollout.id,
        app=APP,
        at=released.clock.now(),
        verdict="pause",
        record={"top_signatures": [{"id": "1f2e"}]},
    )
    with released.database.transaction() as stores:
        stores.signatures.note([sighting])
        scene = scene_of(stores, clinic.rollout, decision.at, "serinus", decision=decision)

    assert scene.title == "SIGSEGV gpu::Flush"


def test_a_ring_of_groups_reaches_its_members(released: World) -> None:
    clinic = staffed(released)
    clinic.check_in(range(30), arm=Arm.INTERNAL, bucket=0)
    clinic.round()
    with released.database.transaction() as stores:
        stores.access.add_group(Group(app=APP, name="staff", created_at=released.clock.now()))
        for number in range(3):
            stores.access.add_enrolment(
                Enrolment(
                    app=APP,
                    group="staff",
                    install_key=key_of(number),
                    sha256=f"{number:064}",
                    created_at=released.clock.now(),
                )
            )
        scene = scene_of(stores, clinic.rollout, released.clock.now(), "Ann")

    assert scene.reach is not None
    assert (scene.reach.installs, scene.reach.of, scene.reach.after_ring) == (3, 30, "half")


# --- new crashes --------------------------------------------------------------------------


def a_crash_world(*, candidates: int = 3, controls: int = 1) -> JudgeWorld:
    world = a_crashless_world()
    world.state.signatures = ["1f2e"]
    world.events_of(candidates, controls, metric="signature:1f2e")
    return world


def test_a_crash_is_news_once_enough_installs_had_it() -> None:
    world = a_crash_world()
    world.state.epoch.most.candidate, world.state.epoch.most.control = 3_900, 35_100

    [found] = new_signatures(world.state, world.settings, ())

    assert (found.id, found.candidate, found.control) == ("1f2e", 3, 1)
    assert (found.candidates, found.controls) == (3_900, 35_100)
    assert 0 < found.log_e < found.needed


@pytest.mark.parametrize(("candidates", "controls"), [(2, 0), (0, 5)])
def test_few_installs_or_others_alone_are_no_news(candidates: int, controls: int) -> None:
    world = a_crash_world(candidates=candidates, controls=controls)

    assert new_signatures(world.state, world.settings, ()) == []


def test_what_was_told_or_is_accepted_is_no_news() -> None:
    world = a_crash_world()
    assert new_signatures(world.state, world.settings, ("1f2e",)) == []
    world.state.epoch.waived["1f2e"] = 1e12

    assert new_signatures(world.state, world.settings, ()) == []


def test_a_new_crash_is_told_once_for_a_rollout(released: World) -> None:
    clinic = a_clinic(released)
    clinic.check_in(FLEET)
    clinic.round()
    found = new_signatures(a_crash_world().state, OPEN, ())
    for _ in range(2):
        with released.database.transaction() as stores:
            study = stores.studies.get(clinic.rollout.id)
            tell_new_signatures(stores, study, found, released.clock.now())

    [message] = [each for each in told(released) if each.type == "serinus.alert.new_signature"]
    assert (message.level, message.alert) == (Level.INFORMS, "")
    assert 'automatic. New crash "1f2e" in 2.1.0 at ring half: 3 of ' in message.text


def test_a_new_crash_in_three_reports_is_told_with_its_title(released: World) -> None:
    clinic = a_clinic(released)
    clinic.check_in(FLEET)
    released.advance(60)
    spool = clinic.spools.writer("web")
    for number in clinic.candidates(FLEET)[:3]:
        released.advance(0.01)
        now = released.clock.now()
        body = {"exception": {"type": "KeyError"}, "frames": [{"module": "notes"}]}
        event = Event(
            app=APP,
            install_key=key_of(number),
            id=f"00000000-0000-4000-9000-{number:012}",
            at=now,
            received_at=now,
            kind="crash",
            version="2.1.0",
            channel=STABLE,
            body=body,
        )
        spool.events([event])
    settle(clinic)

    [message] = [each for each in told(released) if each.type == "serinus.alert.new_signature"]
    assert 'New crash "KeyError' in message.text
    assert ": 3 of " in message.text


# --- suspension ---------------------------------------------------------------------------


def test_a_suspension_pages_until_somebody_ends_it(released: World) -> None:
    clinic = a_clinic(released)
    # One arm alone checks in: the sample ratio is off.
    clinic.check_in(clinic.candidates(range(1_000)))
    clinic.round()
    settle(clinic, 3)

    [message] = [each for each in told(released) if each.type == "serinus.verdict.suspended"]
    assert message.level is Level.PAGES
    assert message.text.endswith(
        "No automatic promote or pull until a person ends this: serinus rollout resume 2.1.0"
    )
    assert "suspended" in reasons(released)
    released.services().control.resume(
        released.person("Ann"), APP, clinic.rollout.id, reason="a proxy ate them"
    )

    resolved = told(released)[-1]
    assert (resolved.type, resolved.resolves) == ("serinus.alert.resolved", (message.alert,))
    assert "suspended" not in reasons(released)
