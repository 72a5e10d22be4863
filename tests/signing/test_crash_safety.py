"""Attack row 40: a crash at any write of a publication breaks no agent, and replay repairs.

Unmodified clients read the storage after each possible crash: one that has never been here,
and one that knows the state before. The control publishes timestamp first, as the obvious
order would have it, and must break them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, RepositoryError

from rollout.documents import render_release
from signing.ceremony import resign, sign_release
from signing.journal import Journal, dump_journal, load_journal
from signing.publish import publish
from signing.repository import Plan, sign_rollout
from signing.rotation import Guard, add_signature, change_keys
from tests.signing.world import (
    LINUX,
    NOW,
    ONLINE,
    PREFIX,
    PUBLISHER,
    MemoryBlobs,
    PowerCutError,
    World,
    a_release,
    a_rollout,
    a_world,
    an_agent,
    files_of,
    key,
)

pytestmark = pytest.mark.no_cover  # the same lines, killed everywhere

Change = Callable[[World], dict[str, bytes]]
PATHS = ("demo/policy/stable.json", "demo/rollout/stable.json")
RELEASE = f"demo/releases/stable/{LINUX}/%s/release.json"


def a_new_release(world: World) -> dict[str, bytes]:
    release = a_release("1.1")
    world.place(release)
    return sign_release(world.state, render_release(release), files_of(release), PUBLISHER, NOW)


def a_new_rollout(world: World) -> dict[str, bytes]:
    return sign_rollout(world.state, a_rollout("1.0"), ONLINE, NOW)


def a_new_release_and_rollout(world: World) -> dict[str, bytes]:
    return {**a_new_release(world), **a_new_rollout(world)}


def a_new_root(world: World) -> dict[str, bytes]:
    return resign(world.state, "root", [key("root")], NOW)


def a_new_release_key(world: World) -> dict[str, bytes]:
    guards = {f"releases.stable.{LINUX}": Guard(keys=(key("second").public_key,))}
    return change_keys(world.state, guards, [key("publisher"), key("second")], NOW)


def targets_by_old_and_new_key(world: World) -> dict[str, bytes]:
    """Return the first step of a planned change of the targets key (docs/trust.md, 9)."""
    signed = resign(world.state, "targets", PUBLISHER, NOW)["targets"]
    return {"targets": add_signature("targets", signed, key("second"))}


def a_root_with_a_new_targets_key(world: World) -> dict[str, bytes]:
    guard = Guard(keys=(key("second").public_key,))
    return change_keys(world.state, {"targets": guard}, [key("root"), key("second")], NOW)


def nothing(_: World) -> dict[str, bytes]:
    return {}


CHANGES: list[Change] = [
    a_new_release,
    a_new_rollout,
    a_new_release_and_rollout,
    a_new_root,
    a_new_release_key,
    targets_by_old_and_new_key,
    nothing,
]


def a_published_world() -> World:
    return a_world(a_release("1.0"))


def planned_on(world: World, change: Change) -> Plan:
    return world.plan(change(world))


def works(folder: Path, world: World) -> bool:
    """Whether a client can refresh and read every document, and those are whole."""
    try:
        agent = an_agent(folder, world.blobs, world.first_root)
        agent.refresh()
        found = [agent.get_targetinfo(path) for path in (*PATHS, RELEASE % "1.0")]
        newer = agent.get_targetinfo(RELEASE % "1.1")
        for target in (*found, newer):
            if target is not None:
                agent.download_target(target, str(folder / "target"))
    except (RepositoryError, DownloadError):
        return False
    return None not in found


def crashed(
    change: Change,
    tmp_path: Path,
    stop_after: int,
    *,
    tear: bool = False,
    world: World | None = None,
) -> tuple[World, Plan]:
    """Return a world whose publication of *change* was cut off, and an agent from before."""
    world = world or a_published_world()
    planned = planned_on(world, change)
    assert works(tmp_path / "old", world)
    world.blobs = MemoryBlobs(files=world.blobs.files, stop_after=stop_after, tear=tear)
    with pytest.raises(PowerCutError):
        publish(planned.journal, world.blobs, PREFIX)
    return world, planned


def length_of(change: Change) -> int:
    return len(planned_on(a_published_world(), change).journal.writes)


EVERY_CRASH = [
    pytest.param(change, stop, tear, id=f"{change.__name__}-{stop}-{'torn' if tear else 'whole'}")
    for change in CHANGES
    for stop in range(length_of(change))
    for tear in (False, True)
]


@pytest.mark.parametrize(("change", "stop", "tear"), EVERY_CRASH)
def test_a_crash_at_any_write_breaks_no_agent_and_replay_completes(
    change: Change, stop: int, tear: bool, tmp_path: Path
) -> None:
    world, planned = crashed(change, tmp_path, stop, tear=tear)

    assert works(tmp_path / "old", world)
    assert works(tmp_path / "fresh", world)

    world.blobs.stop_after = None
    publish(load_journal(dump_journal(planned.journal)), world.blobs, PREFIX)
    assert works(tmp_path / "old", world)
    assert works(tmp_path / "fresh", world)
    timestamp = world.blobs.files[f"{PREFIX}tuf/timestamp.json"]
    assert timestamp == planned.state.metadata["timestamp"]


def test_between_a_crash_and_its_replay_the_old_state_is_served(tmp_path: Path) -> None:
    world, _ = crashed(a_new_release, tmp_path, length_of(a_new_release) - 1)

    agent = world.agent(tmp_path / "fresh")

    assert agent.get_targetinfo(RELEASE % "1.0")
    assert agent.get_targetinfo(RELEASE % "1.1") is None


def broken_at(change: Change, tmp_path: Path) -> list[int]:
    """Return the crash points that break a client when the timestamp is written first."""
    broken = []
    for stop in range(1, length_of(change)):
        world = a_published_world()
        journal = planned_on(world, change).journal
        reordered = Journal(
            app=journal.app,
            timestamp_version=journal.timestamp_version,
            writes=(journal.writes[-1], *journal.writes[:-1]),
        )
        known = works(tmp_path / f"old-{stop}", world)
        world.blobs = MemoryBlobs(files=world.blobs.files, stop_after=stop)
        with pytest.raises(PowerCutError):
            publish(reordered, world.blobs, PREFIX)
        again = works(tmp_path / f"old-{stop}", world)
        fresh = works(tmp_path / f"fresh-{stop}", world)
        if not (known and again and fresh):
            broken.append(stop)
    return broken


@pytest.mark.parametrize("change", [change for change in CHANGES if change is not nothing])
def test_timestamp_first_would_break_agents(change: Change, tmp_path: Path) -> None:
    """The control: with the order switched off, the test above must fail."""
    assert broken_at(change, tmp_path) != []


def test_a_document_of_an_aborted_publication_is_written_once(tmp_path: Path) -> None:
    world, planned = crashed(a_new_rollout, tmp_path, 1)
    world.blobs.stop_after = None
    world.state = world.state.having_seen(planned.state.versions)

    world.take_in(a_new_rollout(world))

    assert works(tmp_path / "old", world)
    assert world.state.versions["rollout.stable"] == 3


# --- roots that take a key away ----------------------------------------------------------


@pytest.mark.parametrize("stop", range(4))
def test_a_planned_change_of_the_targets_key_breaks_no_agent(stop: int, tmp_path: Path) -> None:
    world = a_published_world()
    world.take_in(targets_by_old_and_new_key(world))

    world, planned = crashed(a_root_with_a_new_targets_key, tmp_path, stop, world=world)

    assert works(tmp_path / "old", world)
    assert works(tmp_path / "fresh", world)
    world.blobs.stop_after = None
    publish(planned.journal, world.blobs, PREFIX)
    assert works(tmp_path / "old", world)
    assert works(tmp_path / "fresh", world)


def test_an_unplanned_one_stops_agents_until_it_is_complete(tmp_path: Path) -> None:
    """After a theft there is no time for two steps: agents fail closed for seconds."""
    world, planned = crashed(a_root_with_a_new_targets_key, tmp_path, 1)

    assert not works(tmp_path / "old", world)

    world.blobs.stop_after = None
    publish(planned.journal, world.blobs, PREFIX)
    assert works(tmp_path / "old", world)
    assert works(tmp_path / "fresh", world)
