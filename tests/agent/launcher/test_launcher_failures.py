"""What the launcher does when nothing goes right: full disks, damage, broken programs."""

import errno
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from client_agent import launcher as module
from client_agent.platforms.linux import Linux
from client_agent.values import Outcome
from tests.agent.launching import (
    NOTHING,
    an_app,
    now,
    run,
    run_here,
    tries,
    versions,
)
from tests.agent.trees import an_installation, arm, install, listing


@pytest.mark.parametrize(
    "spoil",
    [
        lambda at: (at / "app").chmod(0o444),
        lambda at: _rewrite(at / "app", b"#!/no/such/interpreter\n"),
        lambda at: _rewrite(at / "app", b"\x7fELF not really"),
    ],
)
def test_a_version_that_cannot_start_is_left_at_once(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    packed = an_app("2.0")
    built = arm(installation, packed, now=now())
    size = (installation.path_of(built) / "app").stat().st_size
    spoil(installation.path_of(built))
    os.truncate(installation.path_of(built) / "app", size)

    for wait in (True, False):
        run(installation, wait=wait)

    state = installation.state.read()
    assert versions(installation) == ["1.0", "1.0"]
    assert [(str(ban.version), ban.reason) for ban in state.bans] == [("2.0", "cannot_start")]
    assert state.last_result is not None
    assert state.last_result.outcome is Outcome.CANNOT_START
    assert len(installation.markers()) == 2  # of current; the failed start left none


def _rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o755)
    path.write_bytes(content)


def test_a_start_that_fails_for_want_of_memory_is_no_ban(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())
    real = subprocess.Popen
    failures = iter([OSError(12, "Cannot allocate memory")])

    def popen(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        for failure in failures:
            raise failure
        return real(*arguments, **more)

    monkeypatch.setattr(subprocess, "Popen", popen)
    run_here(installation)

    assert versions(installation) == ["1.0"]
    assert (tries(installation), installation.state.bans()) == ((2, 0), ())


def test_current_that_cannot_start_gives_way_to_previous(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    current = install(installation, an_app("2.0"))
    (installation.path_of(current) / "app").unlink()

    assert run_here(installation) == 0
    assert versions(installation) == ["1.0"]


@pytest.mark.parametrize(("reads", "status"), [(6, NOTHING), (7, 0), (None, NOTHING)])
def test_previous_must_be_able_to_read_the_data(
    tmp_path: Path, reads: int | None, status: int
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", reads_schema_max=reads))
    current = install(installation, an_app("2.0", reads_schema_max=7))
    installation.state.set_data_schema(7)
    (installation.path_of(current) / "app").unlink()

    assert run_here(installation) == status


def test_a_failing_trial_stays_where_current_cannot_read_the_data(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", reads_schema_max=6))
    arm(installation, an_app("2.0", "exit 1", reads_schema_max=7), now=now())
    installation.state.set_data_schema(7)

    for _ in range(5):
        run_here(installation)

    assert versions(installation) == ["2.0"] * 5
    assert tries(installation) == (0, 0)


def test_current_starts_even_if_it_says_that_it_cannot_read_its_own_data(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", reads_schema_max=6))
    installation.state.set_data_schema(7)

    assert run_here(installation) == 0


def test_a_try_that_cannot_be_counted_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    run_here(installation)

    assert versions(installation) == ["1.0"]
    assert installation.markers() == []  # current starts without one
    monkeypatch.undo()
    assert tries(installation) == (3, 0)


def test_a_trial_without_a_marker_is_not_made_and_is_no_ban(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())
    installation.launches.rmdir()

    for _ in range(4):
        run_here(installation)

    assert versions(installation) == ["1.0"] * 4
    assert installation.state.bans() == ()
    assert tries(installation) == (3, 0)


def test_a_count_that_may_not_last_is_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())
    sync = os.fsync

    def of_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", of_files)
        for _ in range(4):
            run_here(installation)

    assert versions(installation) == ["1.0"] * 4
    assert tries(installation) == (3, 0)


def test_a_lock_that_another_holds_means_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())
    held = Linux().lock(installation.root / "state.lock")
    assert held is not None

    with held:
        run_here(installation)

    assert versions(installation) == ["1.0"]
    assert tries(installation) == (3, 0)


def test_a_lock_that_is_given_back_in_time_is_waited_for(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    held = Linux().lock(installation.root / "state.lock")
    assert held is not None
    timer = threading.Timer(0.1, held.close)
    timer.start()

    run_here(installation)

    timer.join()
    assert versions(installation) == ["2.0"]


def test_a_root_that_cannot_be_locked_at_all_still_starts_current(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())
    (installation.root / "state.lock").unlink()
    (installation.root / "state.lock").mkdir()

    run_here(installation)

    assert versions(installation) == ["1.0"]


def test_a_state_cut_at_every_length_still_starts_a_confirmed_version(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    install(installation, an_app("2.0"))
    arm(installation, an_app("3.0"), now=now())
    state = installation.root / "state.json"
    line = state.read_bytes()
    chosen = set()

    for length in range(len(line)):
        state.write_bytes(line[:length])
        found = module.read_state(str(installation.root))
        chosen.add((found["current"]["version"], found.get("pending") is None))

    assert chosen == {("2.0", True)}
    run_here(installation)
    assert versions(installation) == ["2.0"]


def test_both_states_cut_at_every_length_still_start_the_last_confirmed_version(
    tmp_path: Path,
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("2.0"))
    install(installation, an_app("1.0"))  # a deliberate rollback
    state, last = installation.root / "state.json", installation.root / "state.last"
    line, copy = state.read_bytes(), last.read_bytes()

    for length in range(0, len(line), 7):
        state.write_bytes(line[:length])
        last.write_bytes(copy[: min(length, len(copy) - 1)])
        assert module.read_state(str(installation.root))["current"]["version"] == "1.0"

    run_here(installation)
    assert versions(installation) == ["1.0"]


@pytest.mark.parametrize("file", ["app", "data"])
def test_recovery_takes_only_what_is_whole(tmp_path: Path, file: str) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    rotten = installation.path_of(install(installation, an_app("2.0"))) / file
    rotten.chmod(0o755)
    content = bytearray(rotten.read_bytes())
    content[0] ^= 1
    rotten.write_bytes(content)
    (installation.root / "state.json").write_bytes(b"[]")
    (installation.root / "state.last").write_bytes(b'{"body": 1}')

    run_here(installation)

    assert versions(installation) == ["1.0"]


def test_garbage_in_the_folders_is_no_version(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    own = installation.versions / "9.0-aaaaaaaa" / ".serinus"
    own.mkdir(parents=True)
    for content in (b"", b"[]", b"{}", b'{"seq": "x", "digest": "y"}', b"\xff"):
        (own / "confirmed").write_bytes(content)
        assert run_here(installation) == NOTHING
    (installation.versions / "file").touch()
    assert run_here(installation) == NOTHING


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]\n", b"null\n", b"\xff\n", b'{"status": "exited"}\n{"torn']
)
def test_a_torn_marker_says_nothing_beyond_its_whole_lines(tmp_path: Path, line: bytes) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    run(installation, wait=False)
    (marker,) = installation.markers()
    (installation.launches / f"{marker.launch_id}.json").write_bytes(line)

    run_here(installation)

    assert tries(installation) == ((2, 1) if b"exited" in line else (1, 0))


def test_a_directory_in_the_state_is_a_name_and_no_path(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    other = an_installation(tmp_path / "other")
    theirs = install(other, an_app("6.6.6"))
    body = json.loads((installation.root / "state.json").read_bytes())["body"]
    body["current"]["dir"] = str(other.path_of(theirs))
    (installation.root / "state.json").write_bytes(module.frame(body))

    assert run_here(installation) == NOTHING


def test_fields_that_the_launcher_does_not_know_stay(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    body = json.loads((installation.root / "state.json").read_bytes())["body"]
    body["new"] = {"field": 1}
    body["pending"]["new"] = 2
    (installation.root / "state.json").write_bytes(module.frame(body))

    run_here(installation)

    after = json.loads((installation.root / "state.json").read_bytes())["body"]
    assert (after["new"], after["pending"]["new"]) == ({"field": 1}, 2)


def test_the_versions_are_never_touched(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", "exit 1"), now=now())
    before = listing(installation.versions)

    for _ in range(5):
        run_here(installation)

    assert listing(installation.versions) == before


@pytest.mark.parametrize("content", [b"", bytes(64), b"\xff\xfe\t\n"])
def test_a_manifest_that_is_none_makes_way_for_the_version_before(
    tmp_path: Path, content: bytes
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    current = install(installation, an_app("2.0"))
    manifest = installation.path_of(current) / ".serinus/manifest"
    manifest.chmod(0o644)
    manifest.write_bytes(content)

    assert run(installation, wait=False) == 0
    assert versions(installation) == ["1.0"]


@pytest.mark.parametrize("wait", [True, False])
def test_a_pipe_in_the_place_of_a_manifest_stops_no_start(tmp_path: Path, wait: bool) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    current = install(installation, an_app("2.0"))
    armed = arm(installation, an_app("3.0"), now=now())
    pipes = [installation.path_of(each) / ".serinus/manifest" for each in (current, armed)]
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)

    with ExitStack() as held:
        for pipe in pipes:  # somebody who never says anything
            held.callback(os.close, os.open(pipe, os.O_RDWR))
        assert run(installation, wait=wait) == 0

    assert versions(installation) == ["1.0"]
