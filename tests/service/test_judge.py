from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model import Actor, Approvals, Automatic, RolloutState
from tests.admin_world import APP, World
from tests.kill_switch import KillSwitch
from tests.service.clinic import (
    FLEET,
    OPEN,
    PAUSES,
    WITH_STAFF,
    Clinic,
    a_clinic,
    ill_on_windows,
    quiet,
    settle,
    sicken,
    staffed,
    work,
)
from update_server.evidence.settings import May
from update_server.service.telemetry.digest import Digest

PAUSES_ONLY = replace(OPEN, automatic=frozenset({May.PAUSE}))


@pytest.fixture(scope="session")
def sick_clinic(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic that is about to look at a sick release; no test may change it."""
    clinic = a_clinic(prepared.fork(tmp_path_factory.mktemp("sick") / "signer"), terms=PAUSES)
    sicken(clinic)
    return clinic


@pytest.fixture
def sick(sick_clinic: Clinic, tmp_path: Path) -> Clinic:
    return sick_clinic.fork(tmp_path / "sick")


def decide(clinic: Clinic) -> None:
    """Make ticks, and be killed before anything is carried out."""
    judge, began_at = clinic.judge(), clinic.world.clock.now()
    Digest(clinic.world.database, clinic.spools).run()
    for study in judge.studies():
        judge.judge(study, began_at)


class TestDecisions:
    def test_a_release_that_crashes_is_paused(self, sick: Clinic) -> None:
        sick.round()

        assert sick.state is RolloutState.PAUSED
        assert sick.now.paused_by is Actor.AUTOMATIC
        paused = sick.decisions[-1]
        assert (paused.verdict, paused.outcome) == ("pause", "paused")
        assert paused.carried_out_at is not None
        assert sick.now.reason == paused.record["sentence"]
        assert sick.log == [f"{paused.record['sentence']} (paused)"]

    def test_what_was_decided_once_is_not_decided_again(self, sick: Clinic) -> None:
        sick.round()
        decided = len(sick.decisions)

        settle(sick)

        assert len(sick.decisions) == decided

    def test_much_evidence_pulls_and_sends_installs_back(self, released: World) -> None:
        clinic = a_clinic(released)
        sicken(clinic)

        clinic.round()

        assert clinic.state is RolloutState.PULLED
        assert str(clinic.now.replacement) == "2.0.0"
        assert (clinic.decisions[-1].verdict, clinic.decisions[-1].outcome) == ("pull", "pulled")

    def test_a_policy_that_leaves_pulls_to_people_is_kept_to(self, released: World) -> None:
        clinic = a_clinic(released, automatic=Automatic(pull=False))
        sicken(clinic)

        clinic.round()

        assert clinic.state is RolloutState.PAUSED

    def test_so_is_one_that_leaves_pauses_to_people(self, released: World) -> None:
        clinic = a_clinic(released, terms=PAUSES, automatic=Automatic(pause=False))
        sicken(clinic)

        clinic.round()

        assert clinic.state is RolloutState.ACTIVE
        assert clinic.decisions[-1].outcome.startswith("refused: the signed policy")

    def test_terms_that_leave_pauses_to_people_make_them_advice(self, released: World) -> None:
        clinic = a_clinic(released, terms=replace(OPEN, automatic=frozenset()))
        sicken(clinic)

        clinic.round()

        assert clinic.state is RolloutState.ACTIVE
        assert clinic.verdicts[-1] == "pause"
        assert clinic.decisions[-1].outcome.startswith("advisory")

    def test_no_data_is_no_verdict(self, released: World) -> None:
        clinic = a_clinic(released)

        settle(clinic)

        assert clinic.verdicts == ["no_contacts"]
        assert "not a sign of health" in clinic.decisions[0].record["sentence"]
        assert clinic.decisions[0].outcome == "noted"

    def test_a_verdict_that_is_the_same_is_stored_once(self, released: World) -> None:
        clinic = a_clinic(released)
        clinic.check_in(FLEET)
        settle(clinic, 6)

        assert len(clinic.decisions) == len(set(clinic.verdicts))

    def test_a_resumed_rollout_is_judged_by_what_comes_then(self, sick: Clinic) -> None:
        sick.round()
        alone = Approvals(resume_after_auto_pause=1)
        sick.world.change_policy(ramp=sick.rollout.ladder, approvals=alone)
        sick.world.services().control.resume(sick.world.caller(), APP, sick.rollout.id, reason="ok")

        settle(sick)

        assert sick.state is RolloutState.ACTIVE
        assert sick.decisions[-1].record["epoch"] == 2


class TestPromotion:
    def test_a_quiet_ring_of_groups_is_left_once_it_has_soaked(self, released: World) -> None:
        clinic = staffed(released)

        quiet(clinic)

        assert clinic.now.position == 1
        promoted = next(each for each in clinic.decisions if each.verdict == "promote")
        assert promoted.outcome == "promoted"

    def test_terms_may_leave_it_to_people(self, released: World) -> None:
        clinic = staffed(released, terms=PAUSES_ONLY)

        quiet(clinic)

        assert clinic.now.position == 0
        assert "promote" not in clinic.verdicts

    def test_what_needs_approval_waits_for_people(self, released: World) -> None:
        ladder = (WITH_STAFF[0], replace(WITH_STAFF[1], approvals=1), WITH_STAFF[2])
        clinic = staffed(released, ladder=ladder)

        quiet(clinic)

        assert clinic.now.position == 0
        assert "promote" not in clinic.verdicts

    def test_a_soak_that_the_signed_policy_asks_for_is_waited_for(self, released: World) -> None:
        clinic = staffed(released)
        quick = tuple(replace(step, soak_seconds=5_000) for step in WITH_STAFF)
        released.change_policy(ramp=quick)

        quiet(clinic, 3)
        early = next(each for each in clinic.decisions if each.verdict == "promote")
        assert early.carried_out_at is None
        assert early.outcome.startswith("refused: ")
        assert "soak" in early.outcome
        assert clinic.now.position == 0

        quiet(clinic, 6)
        assert clinic.now.position == 1
        assert len([line for line in clinic.log if "was refused" in line]) == 1

    def test_a_promotion_by_a_person_overtakes_it(self, released: World) -> None:
        clinic = staffed(released)
        quick = tuple(replace(step, soak_seconds=5_000) for step in WITH_STAFF)
        released.change_policy(ramp=quick)
        quiet(clinic, 3)

        clinic.world.services().control.promote(
            clinic.world.caller(), APP, clinic.rollout.id, override=True, reason="in a hurry"
        )
        clinic.world.advance(61)
        clinic.round()

        promoted = next(each for each in clinic.decisions if each.verdict == "promote")
        assert promoted.outcome.startswith("overtaken: ")
        assert clinic.now.position == 1

    def test_nothing_is_promoted_while_a_person_paused_it(self, released: World) -> None:
        clinic = staffed(released)
        released.change_policy(ramp=tuple(replace(step, soak_seconds=5_000) for step in WITH_STAFF))
        quiet(clinic, 3)
        clinic.world.services().control.pause(clinic.world.caller(), APP, clinic.rollout.id)

        quiet(clinic, 9)

        assert clinic.now.position == 0


class TestOvertaken:
    def test_a_pause_of_a_person_stays_a_persons(self, sick: Clinic) -> None:
        decide(sick)
        sick.world.services().control.pause(sick.world.caller(), APP, sick.rollout.id)

        sick.round()

        assert sick.now.paused_by is Actor.PERSON
        assert sick.decisions[-1].outcome == "overtaken: a person paused it"

    def test_a_pull_of_a_person_overtakes_a_pause(self, sick: Clinic) -> None:
        decide(sick)
        sick.world.services().control.pull(sick.world.caller(), APP, sick.rollout.id)

        sick.round()

        assert sick.state is RolloutState.PULLED
        assert sick.decisions[-1].outcome == "overtaken: the rollout is pulled"

    def test_a_pull_of_a_person_overtakes_a_pull(self, released: World) -> None:
        clinic = a_clinic(released)
        sicken(clinic)
        decide(clinic)
        clinic.world.services().control.pull(clinic.world.caller(), APP, clinic.rollout.id)

        clinic.round()

        assert clinic.decisions[-1].outcome == "overtaken: a person pulled it"


class TestHolds:
    def test_the_platform_that_carries_it_is_held_back(self, released: World) -> None:
        clinic = ill_on_windows(released)

        clinic.round()
        settle(clinic)

        assert clinic.state is RolloutState.ACTIVE
        held = next(each for each in clinic.decisions if each.record["hold"])
        assert (held.record["hold"], held.outcome) == ("windows-x86_64", "held")
        [hold] = clinic.world.services().holds.all(APP)
        assert hold.hold.audience.platform == ("windows-x86_64",)
        assert (hold.rollout, hold.reason) == (clinic.rollout.id, held.record["sentence"])
        assert clinic.decisions[-1].record["held"] == ["windows-x86_64"]

    def test_it_is_paused_where_no_hold_can_say_where_to_read_more(self, released: World) -> None:
        clinic = ill_on_windows(released, link_hosts=())

        clinic.round()

        assert clinic.state is RolloutState.PAUSED
        assert clinic.now.reason.startswith("Paused 2.1.0 at ring half")
        assert clinic.now.reason.endswith("holding that platform would do instead.")
        assert clinic.decisions[-1].record["sentence"] == clinic.now.reason

    def test_so_it_is_where_the_policy_has_changed_meanwhile(self, released: World) -> None:
        clinic = ill_on_windows(released)
        decide(clinic)
        released.change_policy(ramp=clinic.rollout.ladder, link_hosts=())

        work(clinic.judge(), clinic.world.clock.now())

        held = next(each for each in clinic.decisions if each.record["hold"])
        assert (clinic.state, held.outcome) == (RolloutState.PAUSED, "paused")
        assert clinic.now.reason == (
            "Paused instead, for the policy names no host at which to read of a hold. "
            f"{held.record['sentence']}"
        )


# --- whatever happens to the process -------------------------------------------------------


def told(clinic: Clinic) -> list[tuple[object, ...]]:
    return [(each.id, each.verdict, each.record, each.log_size) for each in clinic.decisions]


def versions(clinic: Clinic) -> list[int]:
    with clinic.world.database.reading() as stores:
        return [head.version for head in stores.studies.live()]


def test_of_two_that_believe_to_lead_one_makes_each_tick(sick: Clinic) -> None:
    first, second = sick.judge(), sick.judge()
    sick.round(first)
    sick.check_in(FLEET)

    [study] = first.studies()
    sick.world.advance(700)
    sick.round(second)
    decided, ticks = told(sick), versions(sick)
    first.judge(study, sick.world.clock.now())  # with what it remembers of long ago
    work(first, sick.world.clock.now())

    assert (told(sick), versions(sick)) == (decided, ticks)


def test_an_idle_look_writes_nothing(sick: Clinic) -> None:
    judge = sick.judge()
    sick.round(judge)
    sick.round(judge)
    [study] = judge.studies()
    switch = KillSwitch()
    judge._ticks._database = switch.database(sick.world.database)

    assert judge.judge(study, sick.world.clock.now()) == 0

    assert switch.effects == 0
