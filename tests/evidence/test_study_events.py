from __future__ import annotations

from dataclasses import replace

import pytest

from tests.study_world import (
    T0,
    World,
    crash,
    install,
    left,
    paused,
    resumed,
    seen,
    stage_opened,
)
from update_server.evidence import counting, ratio
from update_server.evidence.design import total_at_risk
from update_server.evidence.settings import DAY, HOUR, STANDARD, Settings
from update_server.evidence.state import Arms, Label

NETWORK = b"\x01\x02"


def test_a_first_crash_says_who_was_at_risk_just_before_it() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 10), crash(1_000, 11), crash(1, 12))

    found = [(e.candidate, e.n_candidate, e.n_control) for e in world.labels("crash")]
    assert found == [(True, 3, 5), (False, 2, 5), (True, 2, 4)]
    assert world.process("crash").bad == Arms(candidate=2, control=1)
    assert world.process("crash").known == Arms()


def test_the_evidence_is_that_of_the_labels() -> None:
    world = World()
    world.enter(3, 5)
    vector = ratio.empty_vector()
    ratio.add_event(vector, candidate=True, n_candidate=3, n_control=5)
    ratio.add_event(vector, candidate=False, n_candidate=2, n_control=5)

    world.tick(crash(0, 10), crash(1_000, 11))

    assert world.process("crash").vector == vector


def test_a_label_tells_where_it_came_from() -> None:
    world = World()
    world.tick(seen(1, network=NETWORK))

    (label,) = world.tick(crash(1, 10, event=b"e"))

    assert isinstance(label, Label)
    assert (label.epoch, label.platform, label.at) == (1, "linux-x86_64", T0 + 10)
    assert (label.event, label.network) == (b"e", NETWORK)


def test_a_second_crash_of_an_install_is_no_event() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 10), crash(0, 11))
    world.tick(crash(0, 12))

    assert len(world.labels("crash")) == 1


@pytest.mark.parametrize("happened", [-5.0, 0.5, 1.0])
def test_what_happened_before_an_install_entered_does_not_count(happened: float) -> None:
    world = World()
    world.enter(3, 5)

    assert world.tick(crash(0, 10, happened=happened)) == []


def test_what_is_dated_after_its_receipt_happened_at_receipt() -> None:
    world = World()
    world.enter(3, 5, at=5)

    assert world.tick(crash(0, 4, happened=10)) == []
    assert len(world.tick(crash(0, 6, happened=1e9))) == 1


def test_installs_that_are_not_in_the_stage_have_no_events() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(stage_opened(at=5))

    assert world.tick(crash(0), crash(77)) == []


def test_a_check_in_counts_before_the_events_of_its_tick() -> None:
    world = World()

    entries = world.tick(crash(1, 10, happened=5), seen(1, 2), seen(2, 2, candidate=False))

    assert len(entries) == 1


def test_events_come_in_order_of_receipt_then_of_their_hash() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 20), crash(1, 10, event=b"b"), crash(1_000, 10, event=b"a"))

    assert [(e.candidate, e.at - T0) for e in world.labels("crash")] == [
        (False, 10),
        (True, 10),
        (True, 20),
    ]


def test_where_an_arm_is_empty_an_event_is_counted_and_says_nothing() -> None:
    world = World()
    world.enter(2, 0)

    (label,) = world.tick(crash(0))

    assert isinstance(label, Label)
    assert (label.n_candidate, label.n_control) == (2, 0)
    assert world.process("crash").vector == ratio.empty_vector()
    assert world.process("crash").bad == Arms(candidate=1)


def test_the_third_crash_within_a_day_of_entry_is_a_crash_loop() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(*(crash(0, at) for at in (10, 20, 30, 40)))

    assert [e.at - T0 for e in world.labels("crash_loop")] == [30]


def test_a_third_crash_later_than_a_day_after_entry_is_no_crash_loop() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 10), crash(0, 20), crash(0, DAY + 2))

    assert world.labels("crash_loop") == []


def test_an_install_has_one_crash_loop_over_all_stages() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(*(crash(0, at) for at in (10, 20, 30)))
    world.tick(stage_opened(at=40))
    world.enter(3, 5, at=50)

    world.tick(*(crash(0, at) for at in (60, 70, 80)))

    assert len(world.labels("crash_loop")) == 1


def test_each_new_signature_has_a_process_of_its_own() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 10, signature="a", new=True), crash(1_000, 11, signature="b", new=True))
    world.tick(crash(0, 12, signature="b", new=True), crash(0, 13, signature="b", new=True))

    assert world.state.signatures == ["a", "b"]
    assert [e.candidate for e in world.labels("signature:b")] == [False, True]
    assert len(world.labels("crash")) == 2


@pytest.mark.parametrize(("signature", "new"), [("a", False), ("", True)])
def test_a_crash_without_a_new_signature_is_a_crash_only(signature: str, new: bool) -> None:
    world = World()
    world.enter(3, 5)

    world.tick(crash(0, 10, signature=signature, new=new))

    assert [e.metric for e in world.log if isinstance(e, Label)] == ["crash"]
    assert world.state.signatures == []


def test_past_a_number_of_new_signatures_further_ones_are_crashes_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "SIGNATURES_FOLLOWED", 2)
    world = World()
    world.enter(4, 5)

    world.tick(*(crash(i, 10 + i, signature=f"s{i}", new=True) for i in range(3)))
    world.tick(crash(3, 20, signature="s1", new=True))

    assert world.state.signatures == ["s0", "s1"]
    assert len(world.labels("signature:s1")) == 2
    assert len(world.labels("crash")) == 4


def test_a_waived_signature_counts_nowhere_until_the_waiver_ends() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(paused())
    world.tick(resumed(20, known=100))

    assert world.tick(*(crash(0, at, signature="known", new=True) for at in (30, 40, 50))) == []
    assert world.member(0).crash_times == []
    assert len(world.tick(crash(1, 60, signature="other"))) == 1
    assert len(world.tick(crash(0, 100, signature="known", new=True))) == 2


def test_resuming_after_an_automatic_pause_opens_a_new_epoch() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(crash(0))
    world.tick(paused(15))

    world.tick(resumed(20, known=100))
    world.tick(crash(0, 30, signature="a"), crash(1, 31, signature="a"))

    first, second = world.state.epochs
    assert first.processes["crash"]["linux-x86_64"].bad == Arms(candidate=1)
    assert second.processes["crash"]["linux-x86_64"].bad == Arms(candidate=1)
    assert (second.number, second.opened_at, second.waived) == (2, T0 + 20, {"known": T0 + 100})
    assert [(e.epoch, e.n_candidate) for e in world.labels("crash")] == [(1, 3), (2, 2)]


def test_resuming_after_a_human_pause_goes_on_with_the_same_epoch() -> None:
    world = World()
    world.tick(paused(10, automatic=False))

    world.tick(resumed(20, known=100))

    assert len(world.state.epochs) == 1
    assert world.state.epoch.waived == {"known": T0 + 100}
    assert not world.state.paused


def test_a_pause_stays_automatic_when_a_person_pauses_too() -> None:
    world = World()
    world.tick(paused(10))
    world.tick(paused(11, automatic=False))

    world.tick(resumed(20))

    assert len(world.state.epochs) == 2
    assert not world.state.paused_automatically


def test_resuming_what_is_not_paused_opens_no_epoch() -> None:
    world = World()

    world.tick(resumed(20))

    assert len(world.state.epochs) == 1


def test_waivers_last_into_later_epochs_until_they_end() -> None:
    world = World()
    for at, waived in ((10, {"a": 25.0, "b": 99.0}), (30, {"c": 99.0})):
        world.tick(paused(at))
        world.tick(resumed(at + 1, **waived))

    assert set(world.state.epoch.waived) == {"b", "c"}


def test_events_of_members_count_while_the_release_is_paused() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(paused())

    assert len(world.tick(crash(0, 20))) == 1


def in_one_network(world: World) -> World:
    world.tick(
        *(seen(i, candidate=i % 2 == 0, network=NETWORK) for i in range(6)),
        *(seen(10 + i, candidate=i % 2 == 0) for i in range(6)),
        seen(20, internal=True, network=NETWORK),
    )
    return world


def test_a_network_with_too_many_events_leaves_in_both_arms() -> None:
    world = in_one_network(World())

    entries = world.tick(*(crash(i, 10 + i) for i in range(5)))

    assert len(entries) == 3
    assert total_at_risk(world.state.stage, "crash") == (3, 3)
    assert world.state.stage.capped_networks == 1
    assert {world.member(i).stage for i in range(6)} == {-1}
    assert world.member(20).stage == 1


def test_events_of_one_network_are_counted_over_ticks() -> None:
    world = in_one_network(World())
    for i in range(3):
        world.tick(crash(i, 10 + i))

    world.tick(crash(3, 20))

    assert len(world.log) == 3
    assert total_at_risk(world.state.stage, "crash") == (3, 3)


def test_who_enters_in_the_tick_that_expels_its_network_is_expelled_too() -> None:
    world = in_one_network(World())

    world.tick(seen(30, 9, network=NETWORK), *(crash(i, 10 + i) for i in range(4)))

    assert world.member(30).stage == -1
    assert total_at_risk(world.state.stage, "crash") == (3, 3)


def test_who_is_still_in_an_earlier_stage_is_not_expelled_from_this_one() -> None:
    world = in_one_network(World())
    world.tick(stage_opened(at=5))
    world.tick(*(seen(i, 6, network=NETWORK) for i in range(4)))

    world.tick(*(crash(i, 10 + i) for i in range(4)))

    assert world.member(3).stage == -1
    assert world.member(5).stage == 1


def test_nothing_enters_from_a_network_that_was_expelled_until_the_next_stage() -> None:
    world = in_one_network(World())
    world.tick(*(crash(i, 10 + i) for i in range(4)))

    world.tick(seen(0, 20, network=NETWORK), seen(31, 20, network=NETWORK))
    assert world.state.stage.entered.total == 12
    world.tick(stage_opened(at=30))
    world.tick(seen(0, 31, network=NETWORK), seen(31, 31, network=NETWORK))

    assert world.state.stage.entered.total == 2


def test_crashes_that_are_no_first_events_do_not_use_up_the_cap() -> None:
    world = in_one_network(World())

    world.tick(*(crash(0, 10 + i) for i in range(9)))

    assert world.state.stage.capped_networks == 0


def test_one_install_alone_does_not_use_up_the_cap_of_its_neighbours() -> None:
    world = in_one_network(World())

    entries = world.tick(
        *(crash(0, 10 + i, signature="a", new=True) for i in range(3)),
        *(crash(1, 20 + i, signature=f"s{i}", new=True) for i in range(9)),
    )

    assert {e.metric for e in entries} == {"crash", "crash_loop", "signature:a", "signature:s0"}
    assert world.state.stage.capped_networks == 0


def test_an_install_counts_in_its_network_anew_in_each_stage() -> None:
    world = in_one_network(World())
    world.tick(crash(0, 10))
    world.tick(stage_opened(at=20))
    world.tick(*(seen(i, 21, network=NETWORK) for i in range(5)))

    # What is no first event does not count; a new signature does.
    world.tick(crash(0, 30), crash(0, 31, signature="a", new=True))
    world.tick(*(crash(i, 40 + i) for i in range(1, 4)))

    assert world.state.stage.capped_networks == 1


def test_an_install_is_the_first_with_one_new_signature_only() -> None:
    world = World()
    world.enter(3, 5)

    world.tick(*(crash(0, 10 + i, signature=f"junk{i}", new=True) for i in range(50)))
    world.tick(crash(1, 70, signature="real", new=True), crash(2, 71, signature="junk0", new=True))
    world.tick(crash(0, 80, signature="real", new=True))

    assert world.state.signatures == ["junk0", "real"]
    assert len(world.labels("signature:real")) == 2
    assert len(world.labels("signature:junk0")) == 2


def test_a_crash_that_two_tell_of_is_one_and_has_a_name() -> None:
    world = World()
    world.enter(3, 5)
    for at in (100, 200):
        world.tick(crash(0, at), crash(0, at + 9, signature="a", new=True, again=True))

    assert [e.metric for e in world.log] == ["crash", "signature:a"]
    assert world.member(0).crash_times == [T0 + 100, T0 + 200]

    world.tick(crash(0, 300))

    assert world.log[-1].metric == "crash_loop"


def test_a_crash_that_did_not_count_does_not_when_it_is_told_again() -> None:
    world = World()
    world.tick(seen(0, at=50))

    world.tick(crash(0, 60, happened=45), crash(0, 61, happened=54, signature="a", again=True))

    assert world.log == []
    assert not world.member(0).crashed


def test_who_was_expelled_does_not_enter_again_from_elsewhere_until_the_next_stage() -> None:
    world = in_one_network(World())
    world.tick(*(crash(i, 10 + i) for i in range(4)))

    world.tick(*(seen(i, 20, network=b"elsewhere") for i in range(6)))
    assert world.state.stage.entered.total == 12
    world.tick(stage_opened(at=30))
    world.tick(*(seen(i, 31, network=b"elsewhere") for i in range(6)))

    assert world.state.stage.entered.total == 6


def test_the_cap_can_be_lifted() -> None:
    world = in_one_network(World(replace(STANDARD, network_cap=0)))

    assert len(world.tick(*(crash(i, 10 + i) for i in range(6)))) == 6


def test_installs_whose_network_is_not_known_are_not_capped() -> None:
    world = World()
    world.enter(5, 5)

    assert len(world.tick(*(crash(i, 10 + i) for i in range(5)))) == 5


def test_a_crash_of_an_internal_install_is_no_event() -> None:
    world = World()
    world.tick(seen(1, internal=True))

    assert world.tick(crash(1)) == []
    assert world.member(1).crash_times == [T0 + 10]


def test_what_happens_after_an_install_left_does_not_count() -> None:
    world = World()
    world.enter(3, 5)

    assert world.tick(left(0, 10), crash(0, 11), crash(1, 12)) != []
    assert [e.at - T0 for e in world.labels("crash")] == [12]


# --- crashes without a name while some are waived -------------------------------------------


def a_waived_world(**waived: float) -> World:
    """Return a world with a waiver in force, and 20 installs of each arm in its stage."""
    world = World()
    world.tick(paused(1))
    world.tick(resumed(2, **(waived or {"known": DAY})))
    world.enter(20, 20, at=10)
    return world


def test_a_waived_crash_counts_nowhere_whoever_tells_of_it_first() -> None:
    world = a_waived_world()

    world.tick(crash(1, 60))  # the launcher, which cannot name it
    world.tick(crash(1, 100, happened=58, signature="known", again=True))
    world.tick(seen(99, 2 * HOUR), at=2 * HOUR)

    assert world.labels("crash") == []
    assert not world.member(1).crashed
    assert world.state.unnamed == []


def test_another_crash_counts_by_its_name() -> None:
    world = a_waived_world()

    world.tick(crash(1, 60), crash(1, 100, happened=58, signature="other", new=True, again=True))
    world.tick(seen(99, 2 * HOUR), at=2 * HOUR)

    assert len(world.labels("crash")) == len(world.labels("signature:other")) == 1
    assert world.member(1).crash_times == [T0 + 58]


def test_one_that_nobody_names_counts_after_an_hour() -> None:
    world = a_waived_world()

    world.tick(crash(1, 60), crash(1_001, 61))
    world.tick(at=60 + HOUR - 1)
    assert world.labels("crash") == []
    world.tick(at=61 + HOUR)

    assert [label.candidate for label in world.labels("crash")] == [True, False]
    assert [label.at for label in world.labels("crash")] == [T0 + 60, T0 + 61]


def test_a_name_belongs_to_the_crash_of_its_time_and_install() -> None:
    world = a_waived_world()
    world.tick(crash(1, 60), crash(2, 60), crash(1, 500))

    world.tick(crash(1, 600, happened=505, signature="known", again=True))

    assert [(each.install, each.at) for each in world.state.unnamed] == [
        (install(1), T0 + 60),
        (install(2), T0 + 60),
    ]


def test_a_named_crash_of_its_own_takes_no_other_ones_place() -> None:
    world = a_waived_world()
    world.tick(crash(1, 60))

    world.tick(crash(1, 61, signature="other"))

    assert len(world.labels("crash")) == 1
    assert len(world.state.unnamed) == 1


@pytest.mark.parametrize("waived", [{}, {"known": 50.0}])
def test_without_a_waiver_in_force_nothing_waits(waived: dict[str, float]) -> None:
    world = a_waived_world(**waived) if waived else World()
    if not waived:
        world.enter(20, 20, at=10)

    world.tick(crash(1, 60))

    assert len(world.labels("crash")) == 1
    assert world.state.unnamed == []


def test_whoever_left_meanwhile_has_no_crash() -> None:
    world = a_waived_world()
    world.tick(crash(1, 60), left(1, 70))

    world.tick(at=61 + HOUR)

    assert world.labels("crash") == []


def test_the_judges_faster_clock_makes_reports_less_near() -> None:
    world = World(Settings(speed=60.0))
    world.tick(paused(1))
    world.tick(resumed(2, known=DAY))
    world.enter(20, 20, at=10)
    world.tick(crash(1, 1_000))

    world.tick(crash(1, 1_700, happened=1_590, signature="known", again=True))

    assert world.state.unnamed == []
