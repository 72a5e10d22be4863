"""Updates that wait: for a network, for quiet hours, for a person; and check-ins, which do not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from client_agent.config import Apply
from client_agent.consent.policy import Allow, Defer, UpdateInfo, Verdict
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Idle, Staged
from client_agent.running.loop import Loop
from client_agent.running.status import describe, tell
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.delta_world import DeltaWorld, a_delta_world
from tests.agent.running.test_agent_loop import HOUR, begun, stands, wait
from tests.agent.signed_world import an_entry, zulu


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path) as world:
        yield world


class NotYet:
    """A policy that defers what it is told to."""

    def __init__(self) -> None:
        self.until: Defer | None = None
        self.asked: list[UpdateInfo] = []

    def may_download(self, info: UpdateInfo) -> Verdict:
        self.asked.append(info)
        return Allow()

    def may_apply(self, info: UpdateInfo) -> Verdict:
        self.asked.append(info)
        return self.until or Allow()


def publish(world: AgentWorld, version: str = "2.1.0") -> None:
    world.publish(version)
    world.say("update", version, "in_ring")


def must_reach(world: AgentWorld, version: str = "2.1.0") -> None:
    rule = {"version": version, "after": zulu(world.clock.now())}
    world.signed.set_policy(must_reach=[rule])
    world.roll_out(an_entry(version))


def much_later(world: AgentWorld, loop: Loop, seconds: float) -> None:
    """Let time pass in which the machine is off; the publisher signs on meanwhile."""
    world.clock.advance(seconds - 120)
    world.signed.commit(now=world.clock.now())
    wait(world, loop, 120)


def files(world: AgentWorld) -> list[str]:
    return [path for path in world.server.paths() if path.endswith(".srn")]


def test_a_metered_network_keeps_the_bytes_away_and_not_the_check_ins(world: AgentWorld) -> None:
    world.machine.costs = True
    loop = begun(world)
    publish(world)

    wait(world, loop, 5 * HOUR)

    assert stands(loop, Idle)
    assert files(world) == []
    assert len(world.check_ins) >= 5
    assert world.steps() == ["offered"]
    world.machine.costs = False
    wait(world, loop, 2 * HOUR)
    assert stands(loop, Armed)


def test_how_long_something_waits_outlives_the_process(world: AgentWorld) -> None:
    world.machine.costs = True
    first = begun(world)
    publish(world)
    wait(world, first, HOUR)
    policy = NotYet()

    second = world.loop(policy=policy)
    second.begin()
    wait(world, second, HOUR)

    asked = policy.asked[0]
    assert asked.waits_since is not None
    assert asked.waits_since < world.clock.now() - timedelta(hours=0.9)
    assert asked.download_bytes == len(world.packed["2.1.0"].payload)
    assert not asked.delta


def test_what_waits_to_be_applied_is_asked_about_again_when_its_time_is_over(
    world: AgentWorld,
) -> None:
    policy = NotYet()
    policy.until = Defer(world.clock.now() + timedelta(minutes=20), "meeting")
    loop = begun(world, policy=policy)
    publish(world)

    wait(world, loop, 120)
    assert stands(loop, Staged)
    assert [what for what, _ in world.told] == ["staged"]
    told = tell(describe(loop.parts.installation, loop.parts.spool))
    assert "the update waits (meeting) until" in told
    policy.until = None
    wait(world, loop, 19 * 60)

    assert stands(loop, Armed)
    assert "waits" not in tell(describe(loop.parts.installation, loop.parts.spool))


def test_later_puts_what_is_armed_off_for_a_day(world: AgentWorld) -> None:
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)

    assert loop.wishes.later()
    loop.tick()

    assert stands(loop, Staged)
    assert world.state(loop).pending is None
    much_later(world, loop, 23 * HOUR)
    assert stands(loop, Staged)
    much_later(world, loop, 2 * HOUR)
    assert stands(loop, Armed)


def test_skip_lasts_until_the_next_version(world: AgentWorld) -> None:
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)

    assert loop.wishes.skip()
    much_later(world, loop, 26 * HOUR)

    assert stands(loop, Staged)
    publish(world, "2.2.0")
    wait(world, loop, 2 * HOUR)
    assert stands(loop, Armed)
    assert world.state(loop).pending is not None


def test_a_person_can_skip_what_waits_for_its_download(world: AgentWorld) -> None:
    world.machine.costs = True
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)

    assert loop.wishes.skip()
    world.machine.costs = False
    much_later(world, loop, 26 * HOUR)

    assert stands(loop, Idle)
    assert files(world) == []


def test_who_says_later_and_quits_at_once_is_heeded_all_the_same(world: AgentWorld) -> None:
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)

    loop.wishes.later()
    loop.quit()

    assert world.state(loop).pending is None


def test_what_was_put_off_and_is_armed_all_the_same_is_disarmed_by_the_next_agent(
    world: AgentWorld,
) -> None:
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)
    loop.wishes.skip()  # and the process is killed

    world.loop().begin()

    assert world.state(loop).pending is None


def test_with_nothing_at_hand_there_is_nothing_to_put_off(world: AgentWorld) -> None:
    loop = begun(world)

    assert not loop.wishes.later()
    assert not loop.wishes.skip()


def test_what_must_be_reached_passes_over_later_and_metered(world: AgentWorld) -> None:
    loop = begun(world)
    publish(world)
    wait(world, loop, 61)
    loop.wishes.skip()
    wait(world, loop, HOUR)
    assert stands(loop, Staged)

    must_reach(world)
    world.machine.costs = True
    wait(world, loop, 2 * HOUR)

    assert stands(loop, Armed)
    assert world.told[-1][0] == "restart"
    loop.quit()  # the app starts itself again, as it was asked to
    assert world.state(loop).pending is not None


def test_pre_download_asks_nobody_until_somebody_applies(world: AgentWorld) -> None:
    policy = NotYet()
    loop = begun(world, policy=policy, apply=Apply.PRE_DOWNLOAD)
    publish(world)

    wait(world, loop, 2 * HOUR)

    assert stands(loop, Staged)
    assert len(policy.asked) == 1  # about the download
    loop.handle(on.Allowed())
    assert stands(loop, Armed)


# --- schemas of data ---------------------------------------------------------------------


def test_data_that_an_older_version_cannot_read_keeps_it_away(world: AgentWorld) -> None:
    loop = begun(world)
    world.add("2.1.0", reads_schema_max=6)
    world.roll_out(an_entry("2.1.0"))
    world.say("update", "2.1.0", "in_ring")
    loop.parts.installation.state.set_data_schema(7)

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert files(world) == []
    assert world.events[-1]["error"] == {"category": "policy", "code": "data_schema"}


def test_data_that_moved_on_meanwhile_keeps_a_staged_version_from_being_armed(
    world: AgentWorld,
) -> None:
    loop = begun(world, apply=Apply.PRE_DOWNLOAD)
    world.add("2.1.0", reads_schema_max=6)
    world.roll_out(an_entry("2.1.0"))
    wait(world, loop, 61)
    assert stands(loop, Staged)

    loop.parts.installation.state.set_data_schema(7)
    loop.handle(on.Allowed())

    assert stands(loop, Idle)
    assert world.state(loop).pending is None
    assert world.state(loop).failures[0].version == Version("2.1.0")


# --- deltas ------------------------------------------------------------------------------


def a_week_on_a_metered_network(paid: DeltaWorld) -> Loop:
    """Return the loop after a week in which 2.1.0 was offered and nothing might be fetched."""
    world = paid.world
    world.machine.costs = True
    loop = paid.begun()
    paid.run(loop)
    assert paid.fetched() == []
    for _ in range(7):  # signed anew each day, as a server does
        world.clock.advance(24 * HOUR)
        for role in world.signed.roles.values():
            role.expires = world.clock.now() + timedelta(days=3)
        world.signed.commit(now=world.clock.now())
    return loop


def test_after_a_week_a_small_delta_comes_by_a_metered_network(tmp_path: Path) -> None:
    with a_delta_world(tmp_path) as paid:
        paid.publish()
        loop = a_week_on_a_metered_network(paid)

        wait(paid.world, loop, 300)

        assert stands(loop, Armed)
        assert paid.fetched() == ["delta"]


def test_and_the_payload_that_would_make_up_for_it_does_not(tmp_path: Path) -> None:
    with a_delta_world(tmp_path) as paid:
        paid.publish(sign=lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
        loop = a_week_on_a_metered_network(paid)

        wait(paid.world, loop, 300)

        assert stands(loop, Idle)
        assert paid.fetched() == ["delta"]
        paid.world.machine.costs = False
        wait(paid.world, loop, 2 * HOUR)
        assert stands(loop, Armed)
        assert paid.fetched() == ["delta", "full"]
