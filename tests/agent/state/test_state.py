"""state.json: durable, locked, recovered from its copy, and never losing what others wrote."""

import errno
import hashlib
import json
import os
import random
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from client_agent.errors import Code, DiskError, StateError
from client_agent.launcher import frame
from client_agent.platforms.linux import Linux
from client_agent.state.state_body import (
    BadBodyError,
    parse_confirmed,
    parse_state,
    parse_time,
    render_confirmed,
    render_state,
    render_time,
)
from client_agent.state.state_file import Source, StateFile
from client_agent.values import (
    Ban,
    DeltaFailure,
    Goal,
    InstalledVersion,
    LastResult,
    Outcome,
    Pending,
    State,
    VersionFailure,
)
from client_agent.versions.install import Installation
from rollout.model import RolloutId
from tests.agent.agent_fakes import FakeClock
from tests.agent.trees import LATER, NOW, an_installation, arm, build, goal_for, install, pack

DIGEST = "ab" * 32


def an_installed(version: str = "2.1.0", *, digest: str = DIGEST) -> InstalledVersion:
    return InstalledVersion(
        version=Version(version),
        manifest_sha256=digest,
        directory=f"{version}-{digest[:8]}",
        rollout="ro_7k2m",
    )


def a_pending(**more: Any) -> Pending:
    pending = Pending(
        installed=an_installed(),
        tries_left=3,
        refunds=0,
        armed_at=NOW,
        not_after=LATER,
        boot_id="boot",
    )
    return replace(pending, **more)


def a_failure(version: str = "2.1.0", **more: Any) -> VersionFailure:
    failure = VersionFailure(
        version=Version(version),
        manifest_sha256=DIGEST,
        code="hash_mismatch",
        count=1,
        retry_at=LATER,
    )
    return replace(failure, **more)


def a_delta_failure(from_manifest: str = "cd" * 32, **more: Any) -> DeltaFailure:
    failure = DeltaFailure(from_manifest=from_manifest, to_manifest=DIGEST, code="bad_delta")
    return replace(failure, **more)


def a_state_file(folder: Path, clock: FakeClock | None = None) -> StateFile:
    return StateFile(folder, Linux(), clock or FakeClock(NOW))


def full_state() -> State:
    return State(
        seq=7,
        current=an_installed("2.0.0", digest="cd" * 32),
        previous=an_installed("1.0.0", digest="ef" * 32),
        pending=a_pending(launch_id="x", launch_boot_id="boot"),
        bans=(
            Ban(
                version=Version("1.9"),
                manifest_sha256="12" * 32,
                rollout=None,
                reason="cannot_start",
                at=NOW,
                count=2,
            ),
        ),
        failures=(a_failure(tries_left=1, refunds=2),),
        delta_failures=(a_delta_failure(),),
        data_schema=7,
        last_result=LastResult(
            outcome=Outcome.FELL_BACK,
            version=Version("1.9"),
            rollout="ro_7k2m",
            at=NOW,
            left=Version("1.8"),
        ),
        tokens=MappingProxyType({"2.0.0": "TOKEN"}),
    )


def test_a_state_is_rendered_and_parsed_to_the_same_values() -> None:
    state = full_state()

    assert parse_state(render_state(state, {}))[0] == state
    assert parse_state(render_state(State(), {}))[0] == State()


def test_the_file_is_one_line_with_its_sum() -> None:
    line = render_state(full_state(), {})

    assert line.count(b"\n") == 1
    assert set(json.loads(line)) == {"sum", "body"}


def test_a_torn_state_is_no_state_at_any_length() -> None:
    line = render_state(full_state(), {})

    for length in range(len(line)):
        with pytest.raises(BadBodyError):
            parse_state(line[:length])


@given(st.integers(0, len(render_state(full_state(), {})) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    line = bytearray(render_state(full_state(), {}))
    line[at] ^= change

    with pytest.raises(BadBodyError):
        parse_state(bytes(line))


@pytest.mark.parametrize("name", ["..", "", ".", "a/b", 7])
def test_a_directory_that_is_no_single_name_is_refused(name: object) -> None:
    with pytest.raises(BadBodyError):
        parse_confirmed(b'{"seq": 1, "version": "1", "digest": "x"}', name)  # type: ignore[arg-type]


def test_a_confirmation_is_rendered_and_parsed() -> None:
    line = render_confirmed(an_installed(), 4, NOW)

    assert parse_confirmed(line, an_installed().directory) == (4, an_installed())
    with pytest.raises(BadBodyError):
        parse_confirmed(line[:-3], "x")


def test_times_sort_as_text() -> None:
    draw = random.Random(1)
    times = [NOW + timedelta(seconds=draw.randrange(10**9)) for _ in range(100)]

    assert sorted(map(render_time, times)) == [render_time(time) for time in sorted(times)]
    assert parse_time(render_time(NOW)) == NOW


def test_an_outcome_of_a_newer_agent_is_not_reported_but_not_refused() -> None:
    body = parse_state(render_state(full_state(), {}))[1]
    body["last_result"]["outcome"] = "something new"

    assert parse_state(frame(body))[0].last_result is None


def test_launcher_and_agent_write_the_same_bytes() -> None:
    line = render_state(full_state(), {})

    assert frame(json.loads(line)["body"]) == line


def test_fields_of_a_newer_agent_stay(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    body = json.loads(render_state(full_state(), {}))["body"]
    body["stable_path"] = {"swap": 1}
    body["pending"]["notes"] = "kept"
    (tmp_path / "state.json").write_bytes(frame(body))

    file.set_token(Version("2.1.0"), "NEW")

    after = json.loads((tmp_path / "state.json").read_bytes())["body"]
    assert after["stable_path"] == {"swap": 1}
    assert after["pending"]["notes"] == "kept"
    assert after["tokens"]["2.1.0"] == "NEW"


def test_bans_that_the_launcher_only_added_are_counted_by_digest(tmp_path: Path) -> None:
    body = json.loads(render_state(full_state(), {}))["body"]
    (old,) = body["bans"]
    again = {**old, "reason": "tries_used_up", "at": render_time(LATER)}
    del again["count"]
    body["bans"].append(again)
    (tmp_path / "state.json").write_bytes(frame(body))

    (ban,) = a_state_file(tmp_path).bans()

    assert (ban.count, ban.reason, ban.at) == (3, "tries_used_up", LATER)


def test_each_change_has_a_number_and_no_change_writes_nothing(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.set_data_schema(3)
    before = (tmp_path / "state.json").stat().st_mtime_ns

    assert file.update(lambda state: state).seq == 1
    assert (tmp_path / "state.json").stat().st_mtime_ns == before
    file.set_data_schema(4)
    assert file.read().seq == 2


@pytest.mark.parametrize("pulled", [True, False])
def test_what_used_up_its_tries_begins_anew_only_where_it_is_issued_anew(
    tmp_path: Path, *, pulled: bool
) -> None:
    installation, packed = an_installation(tmp_path), pack(version="2.1")
    install(installation, pack(version="2.0"))
    built = arm(installation, packed)
    used_up(installation)
    state = installation.state

    if pulled:
        state.disarm()
    else:
        state.arm(packed.goal, built, now=NOW, not_after=LATER)  # the same rollout
        assert tries(installation) == 0
    again = replace(packed.goal, rollout=RolloutId("ro_again"))
    state.arm(again, built, now=NOW, not_after=LATER)

    assert tries(installation) == 3
    assert [(ban.rollout, ban.reason, ban.count) for ban in state.bans()] == [
        ("ro_7k2m", "tries_used_up", 1)
    ]


def used_up(installation: Installation) -> None:
    def change(state: State) -> State:
        assert state.pending is not None
        return replace(state, pending=replace(state.pending, tries_left=0))

    installation.state.update(change)


def tries(installation: Installation) -> int:
    pending = installation.state.read().pending
    assert pending is not None
    return pending.tries_left


def test_only_its_owner_reads_the_state(tmp_path: Path) -> None:
    a_state_file(tmp_path).set_data_schema(3)

    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_torn_state_is_replaced_by_the_copy_of_the_last_confirmation(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    current = install(installation, pack(version="2.0"))
    arm(installation, pack(version="2.1"))
    state = installation.root / "state.json"
    state.write_bytes(state.read_bytes()[:-5])
    file = installation.state

    assert file.source() is Source.LAST
    assert (file.read().current, file.read().pending) == (current, None)
    assert an_installation(tmp_path).recovered is Source.LAST
    assert file.source() is Source.STATE


def test_what_must_not_be_forgotten_is_in_the_copy_at_once(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, pack(version="2.0"))
    arm(installation, pack(version="2.1"))
    installation.state.ban_pending("not_healthy", NOW)
    installation.state.set_data_schema(9)
    (installation.root / "state.json").write_bytes(b"?")

    state = installation.state.read()

    assert [ban.version for ban in state.bans] == [Version("2.1")]
    assert state.data_schema == 9


def test_a_copy_that_was_torn_is_written_again(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    current = install(installation, pack())
    (installation.root / "state.last").write_bytes(b"torn")

    installation.state.clear_last_result()

    last = parse_state((installation.root / "state.last").read_bytes())[0]
    assert last.current == current


def test_arming_is_for_a_time_and_counts_from_three(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    built = arm(installation, pack(rollout="ro_abcd"))

    pending = installation.state.read().pending
    assert pending is not None
    assert (pending.tries_left, pending.refunds) == (3, 0)
    assert (pending.armed_at, pending.not_after) == (NOW, LATER)
    assert pending.boot_id == Linux().boot_id()
    assert pending.installed == replace(built, rollout="ro_abcd")


def test_a_version_on_disk_is_armed_for_the_rollout_that_gives_it_now(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    packed = pack(rollout="ro_first")
    built = build(installation, packed)
    goal: Goal = replace(packed.goal, rollout=RolloutId("ro_second"))

    installation.state.arm(goal, built, now=NOW, not_after=LATER)

    pending = installation.pending()
    assert pending is not None
    assert pending.rollout == "ro_second"


def test_arming_again_keeps_what_was_tried(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    started = a_pending(tries_left=1, refunds=2, launch_id="x")
    file.update(lambda state: replace(state, pending=started))
    goal = goal_for(b"", b"")

    file.arm(goal, an_installed(), now=LATER, not_after=LATER + timedelta(hours=1))

    pending = file.read().pending
    assert pending is not None
    assert (pending.tries_left, pending.refunds, pending.launch_id) == (1, 2, "x")
    assert (pending.armed_at, pending.not_after) == (LATER, LATER + timedelta(hours=1))


def test_tries_survive_disarming(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.update(lambda state: replace(state, pending=a_pending(tries_left=1)))

    file.disarm()
    assert file.read().pending is None
    file.forget_failure(Version("2.1.0"), DIGEST)
    file.arm(goal_for(b"", b""), an_installed(), now=NOW, not_after=LATER)

    pending = file.read().pending
    assert pending is not None
    assert pending.tries_left == 1


def test_disarming_keeps_the_failure_that_was_noted(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.note_failure(a_failure())
    file.update(lambda state: replace(state, pending=a_pending(tries_left=2)))

    file.disarm()

    assert file.read().failures == (a_failure(tries_left=2),)


def test_disarming_what_was_never_tried_leaves_no_trace(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.update(lambda state: replace(state, pending=a_pending()))

    file.disarm()
    file.disarm()

    assert (file.read().pending, file.read().failures) == (None, ())


def test_only_the_latest_versions_that_failed_are_remembered(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    failures = tuple(a_failure(f"1.{number}") for number in range(100))
    file.update(lambda state: replace(state, failures=failures))

    file.note_failure(a_failure("2.0"))

    assert file.read().failures == (*failures[37:], a_failure("2.0"))
    file.update(lambda state: replace(state, pending=a_pending(tries_left=1)))
    file.disarm()
    assert len(file.read().failures) == 64


def test_a_delta_that_failed_is_remembered_by_its_pair_of_trees(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.note_delta_failure(a_delta_failure("cd" * 32))
    file.note_delta_failure(a_delta_failure("ce" * 32))
    file.note_delta_failure(a_delta_failure("cd" * 32, code="over_cap"))

    assert file.read().delta_failures == (
        a_delta_failure("ce" * 32),
        a_delta_failure("cd" * 32, code="over_cap"),
    )


def test_only_the_latest_deltas_that_failed_are_remembered(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    for number in range(20):
        file.note_delta_failure(a_delta_failure(f"{number:064x}"))

    kept = [int(failure.from_manifest, 16) for failure in file.read().delta_failures]
    assert kept == list(range(4, 20))


def test_a_state_of_an_agent_without_deltas_can_be_read() -> None:
    body = {"seq": 1}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    line = b'{"sum": "%s", "body": %s}\n' % (hashlib.sha256(text).hexdigest().encode(), text)

    assert parse_state(line)[0] == State(seq=1)


def test_a_failure_replaces_the_one_of_the_same_version(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.note_failure(a_failure("2.2"))
    file.note_failure(a_failure("2.1"))
    file.note_failure(a_failure("2.1", count=2))

    assert [(each.version.public, each.count) for each in file.read().failures] == [
        ("2.2", 1),
        ("2.1", 2),
    ]
    file.forget_failure(Version("2.1"), DIGEST)
    assert [each.version.public for each in file.read().failures] == ["2.2"]


def test_confirming_moves_current_to_previous(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    old = install(installation, pack(version="2.0"))
    file = installation.state
    new = arm(installation, pack(version="2.1"))
    file.note_failure(a_failure("2.1", manifest_sha256=new.manifest_sha256))

    state = file.confirm(LATER)

    assert (state.current, state.previous, state.pending) == (new, old, None)
    assert state.failures == ()
    assert state.last_result == LastResult(
        outcome=Outcome.CONFIRMED,
        version=new.version,
        rollout="ro_7k2m",
        at=LATER,
        left=old.version,
    )
    confirmed = installation.path_of(new) / ".serinus/confirmed"
    assert parse_confirmed(confirmed.read_bytes(), new.directory) == (state.seq, new)
    assert parse_state((installation.root / "state.last").read_bytes())[0].current == new
    installation.verify(new)


def test_confirming_twice_changes_nothing(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, pack())
    before = installation.state.read()

    assert installation.state.confirm(LATER) == before


def test_confirming_a_version_again_does_not_make_it_its_own_fall_back(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    old = install(installation, pack(version="2.0"))
    install(installation, pack(version="2.1"))
    install(installation, pack(version="2.1"))

    assert installation.previous() == old


def test_a_version_made_anew_falls_back_to_the_one_before_it_and_not_to_its_damaged_copy(
    tmp_path: Path,
) -> None:
    installation = an_installation(tmp_path)
    old = install(installation, pack(version="2.0"))
    damaged = install(installation, pack(version="2.1"))
    (installation.path_of(damaged) / "app").unlink()

    anew = install(installation, pack(version="2.1"))

    assert anew.directory != damaged.directory
    assert (installation.current(), installation.previous()) == (anew, old)


def test_a_ban_is_counted_and_reported(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    for _ in range(2):
        file.update(lambda state: replace(state, pending=a_pending()))
        file.ban_pending("not_healthy", NOW)
    file.ban_pending("not_healthy", NOW)  # nothing is pending

    (ban,) = file.bans()
    assert (ban.reason, ban.count, ban.rollout) == ("not_healthy", 2, "ro_7k2m")
    result = file.read().last_result
    assert result is not None
    assert result.outcome is Outcome.FELL_BACK
    file.clear_last_result()
    assert file.read().last_result is None


def test_the_token_of_the_highest_version_is_the_last_one_to_go(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    for minor in (8, 9, 10, 11, 12, 13, 14, 15, 16):
        file.set_token(Version(f"1.{minor}"), f"T{minor}")

    assert [*file.read().tokens] == [f"1.{minor}" for minor in range(9, 17)]


def test_only_the_newest_tokens_are_kept(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    for number in range(12):
        file.set_token(Version(f"1.{number}"), f"T{number}")
    file.set_token(Version("1.7"), "AGAIN")

    tokens = file.read().tokens
    assert len(tokens) == 8
    assert (tokens["1.7"], tokens["1.11"]) == ("AGAIN", "T11")


def test_changes_of_many_threads_are_all_kept(tmp_path: Path) -> None:
    def count(state: State) -> State:
        return replace(state, data_schema=(state.data_schema or 0) + 1)

    class Waiting(FakeClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:  # noqa: ARG002
            return event.wait(0.001)

    def change() -> None:
        file = a_state_file(tmp_path, Waiting())
        for _ in range(10):
            file.update(count)

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert a_state_file(tmp_path).read().data_schema == 40


def test_a_lock_that_is_never_given_back_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    held = Linux().lock(tmp_path / "state.lock")
    assert held is not None

    with held, pytest.raises(StateError) as caught:
        a_state_file(tmp_path, clock).set_data_schema(1)

    assert caught.value.code is Code.BUSY
    assert sum(clock.waits) == pytest.approx(5, abs=0.1)


def test_a_state_that_cannot_be_written_is_the_old_one(tmp_path: Path) -> None:
    class Full(Linux):
        def sync_file(self, descriptor: int) -> None:  # noqa: ARG002
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    a_state_file(tmp_path).set_data_schema(1)
    file = StateFile(tmp_path, Full(), FakeClock(NOW))

    with pytest.raises(DiskError) as caught:
        file.set_data_schema(2)

    assert caught.value.code is Code.NO_SPACE
    assert file.read().data_schema == 1


def test_times_are_kept_in_whole_seconds(tmp_path: Path) -> None:
    file = a_state_file(tmp_path)
    file.arm(
        goal_for(b"", b""),
        an_installed(),
        now=NOW + timedelta(microseconds=999_999),
        not_after=LATER + timedelta(microseconds=999_999),
    )

    pending = file.read().pending
    assert pending is not None
    ends: tuple[datetime, datetime] = (pending.armed_at, pending.not_after)
    assert ends == (NOW, LATER)


def test_tries_that_the_launcher_adds_belong_to_the_failure_that_is_known() -> None:
    known = {
        "version": "2.0",
        "digest": "ab" * 32,
        "code": "unreachable",
        "count": 3,
        "retry_at": "2026-11-22T03:07:00Z",
        "tries_left": None,
    }
    added = {**known, "code": "damaged", "count": 0, "tries_left": 1, "refunds": 4}
    other = {**known, "digest": "cd" * 32}
    body = {"seq": 1, "failures": [known, other, added, {**added, "tries_left": 2}]}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    line = b'{"sum": "%s", "body": %s}\n' % (hashlib.sha256(text).hexdigest().encode(), text)

    failures = parse_state(line)[0].failures

    assert [(one.code, one.count, one.tries_left, one.refunds) for one in failures] == [
        ("unreachable", 3, 1, 4),
        ("unreachable", 3, None, 0),
    ]
