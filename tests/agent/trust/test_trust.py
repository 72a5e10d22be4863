from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent.config import NetworkSettings
from client_agent.errors import AgentError, Code, NetworkError, TrustError
from client_agent.machine.values import Goal, TargetInfo
from client_agent.network.transport import Transport
from client_agent.platforms.linux import Linux
from client_agent.trust.decision import Decision, Hint, Trust
from rollout.model import Action, Detail, Failure, Install, InstallId, Reason
from tests.agent.agent_fakes import START, FakeClock
from tests.agent.signed_world import (
    CHANNEL,
    PLATFORM,
    RELEASES,
    ROLLOUT,
    SignedWorld,
    a_rollback,
    an_entry,
    zulu,
)
from tests.agent.web_server import Reply, WebServer

ID = InstallId("2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11")


class Agent:
    """The trust of one install against a served world."""

    def __init__(self, world: SignedWorld, server: WebServer, folder: Path) -> None:
        self.world = world
        self.server = server
        self.folder = folder
        self.version = "2.0.0"
        self.app = world.settings(server.url)

    def trust(self, *bases: str) -> Trust:
        return Trust(self.app, self.folder, bases or (self.app.base,), Linux())

    def check(
        self, now: datetime = START, *, hint: Hint | None = None, failed: str | None = None
    ) -> Decision:
        failures = (
            (Failure(version=Version(failed), retry_at=now + timedelta(hours=1)),) if failed else ()
        )
        install = Install(
            id=ID,
            channel=CHANNEL,
            platform=PLATFORM,
            version=Version(self.version),
            failures=failures,
        )
        transport = Transport(self.server.url, NetworkSettings(), FakeClock(now))
        return self.trust().refresh_and_decide(install, hint, transport, now)

    def refused(self, now: datetime = START) -> AgentError:
        with pytest.raises(AgentError) as caught:
            self.check(now)
        return caught.value

    def wipe_cache(self) -> None:
        for path in sorted((self.folder / "tuf").rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


@pytest.fixture
def world() -> SignedWorld:
    world = SignedWorld()
    world.add_release("2.0.0")
    world.add_release("2.1.0", rollback_to=["2.0.0"])
    world.set_rollout(an_entry("2.1.0"))
    world.commit()
    return world


@pytest.fixture
def agent(world: SignedWorld, tmp_path: Path) -> Iterator[Agent]:
    with WebServer() as server:
        world.serve(server)
        yield Agent(world, server, tmp_path)


def hint(action: Action, version: str | None, reason: Reason, at: datetime = START) -> Hint:
    return Hint(
        action=action,
        version=Version(version) if version else None,
        reason=reason,
        received_at=at,
        good_for_seconds=3_600,
    )


# --- the road that should work -----------------------------------------------------------


def test_an_honest_server_gives_a_goal_with_path_size_and_hash(agent: Agent) -> None:
    decision = agent.check()

    assert decision.assignment.action is Action.UPDATE
    assert decision.goal is not None
    assert decision.goal.version == Version("2.1.0")
    assert decision.goal.target.length_bytes == len(b"payload")
    assert decision.goal.rollout == "ro_7k2m"
    assert decision.not_after == START + timedelta(hours=24)
    assert decision.next_check_in_seconds == 3_600
    assert decision.timestamp_version == 1
    assert len(decision.snapshot_sha256) == 64
    assert decision.problems == ()


def test_an_unchanged_repository_costs_two_requests(agent: Agent) -> None:
    agent.check()
    agent.server.asked.clear()

    agent.check()

    names = [path.rpartition("/")[2] for path in agent.server.paths()]
    assert names == ["2.root.json", "timestamp.json"]


def test_an_install_that_is_up_to_date_stays(agent: Agent) -> None:
    agent.version = "2.1.0"

    decision = agent.check()

    assert decision.goal is None
    assert decision.assignment.reason is Reason.UP_TO_DATE


def test_files_without_an_api_come_from_the_first_base_that_has_them(agent: Agent) -> None:
    agent.world.serve(agent.server, base="/mirror")
    install = Install(id=ID, channel=CHANNEL, platform=PLATFORM, version=Version("2.0.0"))
    transport = Transport(agent.server.url, NetworkSettings(), FakeClock())

    trust = agent.trust(agent.app.base, f"{agent.server.url}/mirror")
    decision = trust.refresh_and_decide(install, None, transport, START)

    assert decision.goal is not None


def test_a_version_that_failed_here_is_throttled(agent: Agent) -> None:
    assert agent.check(failed="2.1.0").assignment.reason is Reason.THROTTLED


def test_no_rollout_document_yet_is_no_release(agent: Agent) -> None:
    agent.world.roles[ROLLOUT].targets.clear()
    agent.world.commit()

    assert agent.check().assignment.reason is Reason.NO_RELEASE


# --- the server's hint only narrows ------------------------------------------------------


def test_a_hint_to_stay_holds_an_install_back_with_its_reason(agent: Agent) -> None:
    decision = agent.check(hint=hint(Action.STAY, None, Reason.HELD))

    assert (decision.goal, decision.assignment.reason) == (None, Reason.HELD)


def test_a_hint_for_another_version_installs_neither(agent: Agent) -> None:
    decision = agent.check(hint=hint(Action.UPDATE, "2.0.5", Reason.IN_RING))

    assert (decision.goal, decision.assignment.reason) == (None, Reason.STALE_SERVER)


def test_an_old_hint_counts_no_more(agent: Agent) -> None:
    old = hint(Action.STAY, None, Reason.PAUSED, START - timedelta(seconds=3_600))
    ahead = hint(Action.STAY, None, Reason.PAUSED, START + timedelta(seconds=1))

    assert agent.check(hint=old).goal is not None
    assert agent.check(hint=ahead).goal is not None


def test_a_must_reach_ignores_the_hint(agent: Agent) -> None:
    agent.world.set_policy(must_reach=[{"version": "2.1.0", "after": zulu(START)}])
    agent.world.commit()

    decision = agent.check(hint=hint(Action.STAY, None, Reason.PAUSED))

    assert decision.assignment.reason is Reason.MUST_REACH
    assert decision.goal is not None


# --- freeze and expiry -------------------------------------------------------------------


def test_metadata_that_is_replayed_expires_after_a_day(agent: Agent) -> None:
    agent.check()

    assert agent.refused(START + timedelta(hours=25)).code is Code.EXPIRED


def test_an_expired_rollout_document_disables_only_the_rollout(agent: Agent) -> None:
    later = START + timedelta(hours=73)
    agent.world.now = later
    agent.world.publish()

    decision = agent.check(later)

    assert decision.assignment.reason is Reason.STALE_SERVER
    assert [problem.code for problem in decision.problems] == [Code.EXPIRED]


def test_a_must_reach_works_without_a_rollout_document(agent: Agent) -> None:
    later = START + timedelta(hours=73)
    agent.world.set_policy(must_reach=[{"version": "2.1.0", "after": zulu(START)}])
    agent.world.commit("policy", now=later)

    decision = agent.check(later)

    assert decision.assignment.reason is Reason.MUST_REACH


def test_an_expired_policy_installs_nothing(agent: Agent) -> None:
    later = START + timedelta(days=91)
    agent.world.roles[ROLLOUT].expires = later + timedelta(hours=1)
    agent.world.commit(ROLLOUT, now=later)

    assert agent.refused(later).code is Code.EXPIRED


# --- going back --------------------------------------------------------------------------


def test_an_older_timestamp_is_refused_and_leaves_no_trace(agent: Agent) -> None:
    old = agent.world.files["tuf/timestamp.json"]
    agent.world.publish()
    agent.check()
    before = agent.trust().floor()
    agent.world.files["tuf/timestamp.json"] = old

    assert agent.refused().code is Code.TIMESTAMP_ROLLBACK
    assert agent.trust().floor() == before


def test_an_older_timestamp_is_refused_with_a_wiped_cache_too(agent: Agent) -> None:
    old = dict(agent.world.files)
    agent.world.publish()
    agent.check()
    agent.wipe_cache()
    agent.world.files = old

    assert agent.refused().code is Code.TIMESTAMP_ROLLBACK


def test_an_older_snapshot_under_a_newer_timestamp_is_refused(agent: Agent) -> None:
    agent.world.publish()
    agent.check()
    agent.world.snapshot.version = 1
    agent.world.stamp()

    assert agent.refused().code is Code.BAD_VERSION


def test_a_replayed_policy_is_refused_even_with_a_wiped_cache(agent: Agent) -> None:
    first = dict(agent.world.files)
    agent.world.set_policy(floor="2.0.0", revoked=["1.9.0"])
    agent.world.commit("policy")
    agent.check()
    agent.wipe_cache()
    agent.world.files |= {"tuf/1.policy.json": first["tuf/1.policy.json"]}
    agent.world.roles["policy"].version = 1
    agent.world.snapshot.meta["policy.json"].version = 1
    agent.world.publish()

    assert agent.refused().code is Code.POLICY_ROLLBACK


def test_older_top_level_targets_are_refused_with_a_wiped_cache(agent: Agent) -> None:
    agent.world.targets.version = 2
    agent.world.put("targets", agent.world.targets)
    agent.world.publish()
    agent.check()
    agent.wipe_cache()
    agent.world.snapshot.meta["targets.json"].version = 1
    agent.world.publish()

    assert agent.refused().code is Code.BAD_VERSION


def test_a_withheld_root_is_noticed_though_everything_under_it_verifies(agent: Agent) -> None:
    old = dict(agent.world.files)
    agent.world.rotate("timestamp")
    agent.world.stamp()
    agent.check()
    agent.wipe_cache()
    agent.world.files = old

    assert agent.refused().code is Code.BAD_VERSION


def test_a_floor_survives_a_policy_that_lowers_it(agent: Agent) -> None:
    agent.world.set_policy(floor="2.1.0")
    agent.world.commit()
    agent.check()
    agent.world.set_policy(floor="2.0.0")
    agent.world.set_rollout(a_rollback("2.0.0", "2.1.0"))
    agent.world.commit()
    agent.version = "2.1.0"

    decision = agent.check()

    assert decision.assignment.detail is Detail.BELOW_FLOOR


def test_versions_driven_to_the_limit_recover_by_a_new_root(agent: Agent) -> None:
    agent.world.timestamp.version = 2**31 - 1
    agent.world.put("timestamp", agent.world.timestamp)
    agent.check()

    agent.world.rotate("timestamp")
    agent.world.timestamp.version = 1
    agent.world.put("timestamp", agent.world.timestamp)

    assert agent.check().timestamp_version == 1


@pytest.mark.parametrize("role", ["timestamp", "targets", "policy"])
def test_a_version_that_no_slot_can_hold_is_refused(agent: Agent, role: str) -> None:
    agent.check()
    before = agent.trust().floor()
    world = agent.world
    world.set_policy(floor="2.0.0")
    if role == "timestamp":
        world.timestamp.version = 2**53 - 1
    elif role == "targets":
        world.targets.version = 2**53
        world.put("targets", world.targets)
    else:
        world.roles["policy"].version = 2**53
    world.commit()

    refused = agent.refused()

    assert refused.code in {Code.TIMESTAMP_ROLLBACK, Code.BAD_VERSION, Code.POLICY_ROLLBACK}
    assert agent.trust().floor() == before


def test_a_new_place_starts_its_numbers_anew_but_keeps_floor_and_high_water(
    agent: Agent, tmp_path: Path
) -> None:
    agent.world.set_policy(floor="2.0.0")
    agent.world.commit()
    agent.world.publish()
    release = agent.check().goal
    assert release is not None
    agent.trust().raise_high_water(release.release, Version("2.0.0"))
    fresh = SignedWorld()
    fresh.add_release("2.1.0")
    fresh.set_rollout()
    fresh.commit()

    with WebServer() as other:
        fresh.serve(other)
        moved = Agent(fresh, other, tmp_path)
        moved.wipe_cache()
        moved.check()
        floor = moved.trust().floor()

    assert floor.timestamp.version == 1
    assert floor.sticky_floor == Version("2.0.0")
    assert floor.high_water == Version("2.1.0")


# --- rollback edges ----------------------------------------------------------------------


def test_a_signed_edge_leads_back(agent: Agent) -> None:
    agent.version = "2.1.0"
    agent.world.set_rollout(a_rollback("2.0.0", "2.1.0"))
    agent.world.commit()

    decision = agent.check()

    assert decision.assignment.action is Action.ROLLBACK


def test_a_second_hop_back_is_refused_by_the_high_water_mark(agent: Agent) -> None:
    agent.world.add_release("1.9.0")
    agent.world.add_release("2.0.1", rollback_to=["1.9.0"])
    agent.world.commit()
    goal = agent.check().goal
    assert goal is not None
    agent.trust().raise_high_water(goal.release, Version("2.0.0"))  # 2.1.0 ran here once
    agent.world.set_rollout(a_rollback("1.9.0", "2.0.1"))
    agent.world.commit()
    agent.version = "2.0.1"

    decision = agent.check()

    assert decision.assignment.detail is Detail.NO_ROLLBACK_EDGE


# --- signatures and scope ----------------------------------------------------------------


@pytest.mark.parametrize("role", ["policy", RELEASES])
def test_an_offline_role_signed_by_online_keys_is_unsigned(agent: Agent, role: str) -> None:
    agent.world.roles[role].version += 1
    agent.world.put(role, agent.world.roles[role], agent.world.keys["rollout"])
    agent.world.publish()

    assert agent.refused().code is Code.UNSIGNED


def test_a_rollout_document_signed_by_another_key_disables_the_rollout(agent: Agent) -> None:
    agent.world.roles[ROLLOUT].version += 1
    agent.world.put(ROLLOUT, agent.world.roles[ROLLOUT], agent.world.keys["snapshot"])
    agent.world.publish()

    decision = agent.check()

    assert decision.assignment.reason is Reason.STALE_SERVER
    assert [problem.code for problem in decision.problems] == [Code.UNSIGNED]


def test_one_of_two_release_keys_is_not_enough(agent: Agent) -> None:
    agent.world.delegate(releases=2)
    agent.world.targets.version += 1
    agent.world.put("targets", agent.world.targets)
    agent.world.publish()

    assert agent.refused().code is Code.UNSIGNED


def test_a_release_that_is_listed_and_not_signed_is_not_eligible(agent: Agent) -> None:
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()

    assert agent.check().assignment.detail is Detail.NOT_SIGNED


def test_a_binary_in_the_rollout_role_is_out_of_its_scope(agent: Agent) -> None:
    evil = SignedWorld()
    path = evil.add_release("2.2.0", b"evil")
    agent.world.roles[ROLLOUT].targets |= evil.roles[RELEASES].targets
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()

    decision = agent.check()

    assert path in agent.world.roles[ROLLOUT].targets
    assert decision.assignment.detail is Detail.NOT_SIGNED


@pytest.mark.parametrize(
    "fields",
    [
        {"platform": "windows-x86_64"},
        {"channel": "beta"},
        {"app": "other"},
        {"version": "9.9.9"},
        {"salt": "00"},
        {"schema": 2},
    ],
)
def test_a_release_document_that_is_of_another_place_counts_as_not_signed(
    agent: Agent, fields: dict[str, Any]
) -> None:
    agent.world.add_release("2.2.0", **fields)
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()

    decision = agent.check()

    assert decision.assignment.detail is Detail.NOT_SIGNED
    assert Code.BAD_DOCUMENT in {problem.code for problem in decision.problems}


def test_an_artifact_outside_its_releases_folder_counts_as_not_signed(agent: Agent) -> None:
    elsewhere = "demo/releases/stable/linux-x86_64/2.0.0/demo-2.0.0.srn"
    agent.world.add_release("2.2.0", artifact={"path": elsewhere})
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()

    assert agent.check().assignment.detail is Detail.NOT_SIGNED


def test_an_artifact_that_nobody_signed_is_no_goal(agent: Agent) -> None:
    path = agent.world.add_release("2.2.0")
    del agent.world.roles[RELEASES].targets[path]
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()

    assert agent.refused().code is Code.BAD_DOCUMENT


def test_an_artifact_that_another_role_vouches_for_is_no_goal(agent: Agent) -> None:
    path = agent.world.add_release("2.2.0")
    target = agent.world.roles[RELEASES].targets.pop(path)
    delegations = agent.world.targets.delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles[RELEASES].terminating = False
    delegations.roles[ROLLOUT].paths = ["demo/releases/*/*/*/*", "demo/rollout/*"]
    agent.world.roles[ROLLOUT].targets[path] = target
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.targets.version += 1
    agent.world.put("targets", agent.world.targets)
    agent.world.commit()

    assert agent.refused().code is Code.BAD_DOCUMENT


FOLDER = "demo/releases/stable/linux-x86_64/2.2.0"
LARGE = 17 * 1024**2


def a_signed_delta(name: str = "from-2.0.0.delta", **fields: Any) -> dict[str, Any]:
    """Return what a release document says of a delta."""
    return {
        "path": f"{FOLDER}/{name}",
        "from": "2.0.0",
        "from_manifest": "cd" * 32,
        "algo": "pb1",
        "output_bytes": 1000,
        "max_file_bytes": 900,
    } | fields


def goal_with(agent: Agent, *deltas: dict[str, Any]) -> tuple[Decision, Goal]:
    """Publish 2.2.0 with these deltas; return what is decided then."""
    agent.world.add_release("2.2.0", deltas=list(deltas))
    for delta in deltas:
        agent.world.add_file(delta["path"], b"delta")
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()
    decision = agent.check()
    assert decision.goal is not None
    return decision, decision.goal


def test_a_goal_brings_its_deltas_as_they_were_signed(agent: Agent) -> None:
    _, goal = goal_with(agent, a_signed_delta(), a_signed_delta("from-1.9.0.delta"))

    assert [delta.signed for delta in goal.deltas] == list(goal.release.deltas)
    first = goal.deltas[0]
    assert first.target.path == f"{FOLDER}/from-2.0.0.delta"
    assert (first.target.length_bytes, first.target.sha256) == (
        5,
        hashlib.sha256(b"delta").hexdigest(),
    )


def test_a_delta_that_no_role_lists_is_none_and_the_rest_holds(agent: Agent) -> None:
    goal_with(agent, a_signed_delta(), a_signed_delta("from-1.9.0.delta"))
    del agent.world.roles[RELEASES].targets[f"{FOLDER}/from-2.0.0.delta"]
    agent.world.commit()

    decision = agent.check()

    assert decision.goal is not None
    assert [delta.target.path for delta in decision.goal.deltas] == [f"{FOLDER}/from-1.9.0.delta"]
    assert [problem.code for problem in decision.problems] == [Code.BAD_DOCUMENT]


def test_a_delta_that_another_role_vouches_for_is_none(agent: Agent) -> None:
    goal_with(agent, a_signed_delta())
    path = f"{FOLDER}/from-2.0.0.delta"
    target = agent.world.roles[RELEASES].targets.pop(path)
    delegations = agent.world.targets.delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles[RELEASES].terminating = False
    delegations.roles[ROLLOUT].paths = ["demo/releases/*/*/*/*", "demo/rollout/*"]
    agent.world.roles[ROLLOUT].targets[path] = target
    agent.world.targets.version += 1
    agent.world.put("targets", agent.world.targets)
    agent.world.commit()

    decision = agent.check()

    assert decision.goal is not None
    assert decision.goal.deltas == ()


def pieces_of(agent: Agent, length: int, pieces: bytes | None) -> TargetInfo | None:
    """Return the pieces of a payload that was signed with this length, beside these."""
    path = agent.world.add_release("2.2.0")
    agent.world.roles[RELEASES].targets[path].length = length
    if pieces is not None:
        agent.world.add_file(f"{path}.pieces", pieces)
    agent.world.set_rollout(an_entry("2.2.0"))
    agent.world.commit()
    goal = agent.check().goal
    assert goal is not None
    return goal.target.pieces


def test_a_large_file_has_the_pieces_that_its_role_signs(agent: Agent) -> None:
    found = pieces_of(agent, LARGE, bytes(5 * 32))

    assert found is not None
    assert found.path.endswith("demo-2.2.0.srn.pieces")
    assert found.length_bytes == 5 * 32


@pytest.mark.parametrize(
    ("length", "pieces"), [(LARGE, None), (LARGE, bytes(4 * 32)), (1_000_000, bytes(32))]
)
def test_pieces_that_are_not_there_do_not_fit_or_are_not_needed_are_none(
    agent: Agent, length: int, pieces: bytes | None
) -> None:
    assert pieces_of(agent, length, pieces) is None


def test_a_document_that_is_not_its_targets_bytes_is_refused(agent: Agent) -> None:
    path = "demo/policy/stable.json"
    target = agent.world.roles["policy"].targets[path]
    target.unrecognized_fields["custom"]["revoked"] = ["2.1.0"]
    agent.world.commit("policy")

    assert agent.refused().code in {Code.HASH_MISMATCH, Code.LENGTH_MISMATCH}


def test_a_policy_that_is_not_there_stops_everything(agent: Agent) -> None:
    agent.world.roles["policy"].targets.clear()
    agent.world.commit()

    assert agent.refused().code is Code.BAD_DOCUMENT


def test_a_rollout_that_uses_what_the_policy_does_not_list_is_refused(agent: Agent) -> None:
    hold = {
        "id": "h1",
        "title": "Crashes",
        "link": "https://evil.example/h1",
        "audience": {"os_version": ["<13"]},
    }
    agent.world.set_rollout(an_entry("2.1.0", holds=[hold]))
    agent.world.commit()

    decision = agent.check()

    assert decision.assignment.reason is Reason.STALE_SERVER
    assert [problem.code for problem in decision.problems] == [Code.BAD_DOCUMENT]


def test_another_apps_repository_is_unsigned_here(agent: Agent) -> None:
    other = SignedWorld()
    other.set_rollout()
    other.commit()
    agent.world.files = other.files

    assert agent.refused().code is Code.UNSIGNED


def test_a_root_of_the_cache_is_never_the_start_of_trust(agent: Agent) -> None:
    agent.check()
    evil = SignedWorld()
    evil.set_rollout()
    evil.commit()
    (agent.folder / "tuf" / "root_history" / "1.root.json").write_bytes(evil.root_metadata)
    agent.world.files = evil.files

    assert agent.refused().code is Code.UNSIGNED


def test_a_compiled_in_root_that_is_none_is_an_error(agent: Agent) -> None:
    agent.app = SignedWorld().settings(agent.server.url)
    agent.world.root_metadata = b"{}"
    agent.app = agent.world.settings(agent.server.url)

    assert agent.refused().code is Code.BAD_DOCUMENT


def test_an_old_root_walks_the_chain_however_long(agent: Agent) -> None:
    for _ in range(30):
        agent.world.rotate("snapshot")
    agent.world.publish()

    assert agent.check().goal is not None


# --- the network -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404])
def test_no_next_root_is_no_error(agent: Agent, status: int) -> None:
    agent.server.on("/v1/apps/demo/tuf/2.root.json", Reply(status=status))

    assert agent.check().goal is not None


def test_a_server_error_at_the_next_root_changes_nothing(agent: Agent) -> None:
    agent.server.on("/v1/apps/demo/tuf/2.root.json", Reply(status=500))

    error = agent.refused()

    assert isinstance(error, NetworkError)
    assert error.status == 500
    assert agent.trust().floor().timestamp.version == 0


@pytest.mark.parametrize("page", [b"<html>log in</html>", b"[1]", b""])
def test_a_captive_portal_is_a_matter_of_the_network(agent: Agent, page: bytes) -> None:
    agent.server.on("/v1/apps/demo/tuf/2.root.json", Reply(body=page))

    error = agent.refused()

    assert isinstance(error, NetworkError)
    assert error.code is Code.UNEXPECTED_ANSWER
    assert agent.trust().floor().timestamp.version == 0


def test_json_that_is_no_metadata_is_a_bad_document(agent: Agent) -> None:
    agent.server.on("/v1/apps/demo/tuf/timestamp.json", Reply(body=b'{"a": 1}'))

    assert agent.refused().code is Code.BAD_DOCUMENT


@pytest.mark.parametrize(
    ("name", "size"),
    [("2.root.json", 512_001), ("timestamp.json", 16_385), ("1.snapshot.json", 2_000_001)],
)
def test_metadata_over_its_cap_is_a_length_mismatch(agent: Agent, name: str, size: int) -> None:
    agent.server.on(f"/v1/apps/demo/tuf/{name}", Reply(body=b"x" * size))

    error = agent.refused()

    assert isinstance(error, TrustError)
    assert error.code is Code.LENGTH_MISMATCH


def test_the_cap_holds_whatever_length_the_snapshot_claims(agent: Agent) -> None:
    agent.world.snapshot.meta["targets.json"].length = 10**9
    agent.world.publish()
    agent.server.on("/v1/apps/demo/tuf/1.targets.json", Reply(body=b"x" * 5_000_001))

    assert agent.refused().code is Code.LENGTH_MISMATCH


# --- the clock ---------------------------------------------------------------------------


def test_a_clock_behind_what_was_signed_installs_nothing(agent: Agent) -> None:
    agent.check()

    assert agent.refused(START - timedelta(hours=24, seconds=1)).code is Code.CLOCK


def test_a_clock_behind_the_build_of_the_app_installs_nothing(agent: Agent) -> None:
    agent.app = replace(agent.app, built_at=START + timedelta(hours=24, seconds=1))

    assert agent.refused().code is Code.CLOCK


def test_a_policy_from_the_future_is_refused_and_not_remembered(agent: Agent) -> None:
    agent.world.set_policy(issued=zulu(START + timedelta(hours=24, seconds=1)))
    agent.world.commit()

    assert agent.refused().code is Code.CLOCK
    assert agent.trust().floor().issued is None


def test_a_rollout_from_the_future_is_refused_and_not_remembered(agent: Agent) -> None:
    agent.world.set_rollout(an_entry("2.1.0"), issued=zulu(START + timedelta(days=400)))
    agent.world.commit()

    decision = agent.check()

    assert decision.assignment.reason is Reason.STALE_SERVER
    assert [problem.code for problem in decision.problems] == [Code.CLOCK]
    assert agent.trust().floor().issued == START


def test_a_release_from_the_future_is_not_eligible_and_never_remembered(agent: Agent) -> None:
    agent.world.add_release("2.1.0", released_at=zulu(START + timedelta(hours=24, seconds=1)))
    agent.world.commit()

    decision = agent.check()

    assert decision.assignment.detail is Detail.NOT_SIGNED
    assert [problem.code for problem in decision.problems] == [Code.CLOCK]


# --- the durable floor -------------------------------------------------------------------


def test_a_torn_slot_costs_one_step_and_never_the_memory(agent: Agent) -> None:
    agent.check()
    agent.world.publish()
    agent.check()
    newest = agent.trust().floor()
    slot = agent.folder / ("floor.a", "floor.b")[newest.counter % 2]
    slot.write_bytes(slot.read_bytes()[:-20])

    floor = agent.trust().floor()

    assert floor.counter == newest.counter - 1
    assert floor.timestamp.version >= 1


def test_lost_slots_are_reported_and_the_agent_goes_on(agent: Agent) -> None:
    agent.check()
    for name in ("floor.a", "floor.b"):
        (agent.folder / name).write_bytes(b"torn")

    decision = agent.check()

    assert Code.LOST in {problem.code for problem in decision.problems}
    assert decision.goal is not None
    assert agent.check().problems == ()


def test_the_high_water_mark_counts_what_an_installer_brought(agent: Agent) -> None:
    goal = agent.check().goal
    assert goal is not None

    agent.trust().raise_high_water(goal.release, Version("2.5.0"))

    assert agent.trust().floor().high_water == Version("2.5.0")
