"""Trials: what a try costs, when it is refunded, when a version is left."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from client_agent import launcher as module
from client_agent.values import Outcome
from rollout.model import RolloutId
from tests.agent.launching import (
    NOTHING,
    an_app,
    now,
    rebooted,
    run,
    run_here,
    time_moved,
    tries,
    versions,
)
from tests.agent.trees import an_installation, arm, install, pack


@pytest.mark.parametrize("wait", [True, False])
def test_a_first_install_needs_no_version_before_it(tmp_path: Path, wait: bool) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("1.0"), now=now())

    assert run(installation, wait=wait) == 0

    assert versions(installation) == ["1.0"]
    assert [marker.trial for marker in installation.markers()] == [True]
    assert tries(installation) == (2, 0)
    assert installation.current() is None


def test_a_first_install_that_fails_leaves_nothing_to_start(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("1.0", "exit 1"), now=now())

    assert [run_here(installation) for _ in range(4)] == [1, 1, 1, NOTHING]

    state = installation.state.read()
    assert state.pending is None
    assert [(str(ban.version), ban.reason) for ban in state.bans] == [("1.0", "tries_used_up")]


def test_a_version_that_dies_three_times_is_left_and_banned(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", "exit 1"), now=now())

    for _ in range(5):
        run(installation, wait=False)

    assert versions(installation) == ["2.0", "2.0", "2.0", "1.0", "1.0"]
    state = installation.state.read()
    (ban,) = state.bans
    assert (str(ban.version), ban.reason, ban.rollout, ban.count) == (
        "2.0",
        "tries_used_up",
        "ro_7k2m",
        1,
    )
    result = state.last_result
    assert result is not None
    assert (result.outcome, str(result.version), str(result.left)) == (
        Outcome.FELL_BACK,
        "2.0",
        "1.0",
    )


def test_a_version_is_tried_at_most_eight_times_however_cleanly_it_ends(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", "exit 0"), now=now())

    for _ in range(10):
        run_here(installation)

    assert versions(installation) == ["2.0"] * 8 + ["1.0"] * 2


def test_a_confirmed_version_just_starts(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", "exit 1"), now=now())
    run_here(installation)

    installation.state.confirm(now())
    for _ in range(5):
        run_here(installation)

    assert versions(installation) == ["2.0"] * 6
    assert installation.state.bans() == ()


def test_a_power_cut_is_refunded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0", "exit 1"), now=now())
    run(installation, wait=False)
    assert tries(installation) == (2, 0)

    with rebooted(monkeypatch):
        run_here(installation)

    assert tries(installation) == (2, 1)  # 2 + 1 refunded - 1


def test_a_power_cut_before_the_marker_was_stored_is_refunded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    run(installation, wait=False)
    for marker in installation.launches.iterdir():
        marker.unlink()

    with rebooted(monkeypatch):
        run_here(installation)

    assert tries(installation) == (2, 1)


def test_a_launcher_that_dies_between_counting_and_starting_has_used_a_try(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    run(installation, wait=False)
    for marker in installation.launches.iterdir():
        marker.unlink()

    run_here(installation)

    assert tries(installation) == (1, 0)


def test_a_crash_before_a_reboot_is_not_refunded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    run(installation, wait=False)
    (marker,) = installation.markers()
    fault = installation.launches / f"{marker.launch_id}.fault"
    fault.write_text("Fatal Python error: Segmentation fault")

    with rebooted(monkeypatch):
        run_here(installation)

    assert tries(installation) == (1, 0)


def test_an_exit_that_was_seen_before_a_reboot_is_not_refunded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0", "exit 1"), now=now())
    run_here(installation)

    with rebooted(monkeypatch):
        run_here(installation)

    assert tries(installation) == (1, 0)


def test_a_try_is_refunded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = an_installation(tmp_path)
    arm(installation, an_app("2.0"), now=now())
    run_here(installation)  # ended with 0
    with time_moved(monkeypatch, timedelta(days=2)):
        for _ in range(3):
            assert run_here(installation) == NOTHING  # out of time: nothing is written

    run_here(installation)

    assert tries(installation) == (2, 1)


def test_a_second_window_is_the_same_version_and_costs_nothing(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", "exec cat"), now=now())
    command = installation.launcher_command()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(b"x\n")
        first.stdin.flush()
        first.stdout.readline()

        for _ in range(5):
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        assert tries(installation) == (2, 0)
        first.kill()

    assert versions(installation) == ["2.0"] * 6
    assert len(installation.markers()) == 6


def test_two_launchers_at_once_share_one_try(tmp_path: Path) -> None:
    for number in range(5):
        installation = an_installation(tmp_path / str(number))
        install(installation, an_app("1.0"))
        arm(installation, an_app("2.0", "exec cat"), now=now())
        command = installation.launcher_command()

        both = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for process in both:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"x\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"x\n"
        for process in both:
            process.communicate()

        # The second one waits for the lock, and then finds the marker of the first.
        assert versions(installation) == ["2.0", "2.0"]
        assert tries(installation) == (2, 0)
        assert [marker.trial for marker in installation.markers()] == [True, True]


@pytest.mark.parametrize(
    ("moved", "version"),
    [
        (timedelta(hours=25), "1.0"),
        (timedelta(hours=23), "2.0"),
        (timedelta(minutes=-59), "2.0"),
        (timedelta(minutes=-61), "1.0"),
        (timedelta(days=3650), "1.0"),
        (timedelta(days=-3650), "1.0"),
    ],
)
def test_an_arming_holds_for_its_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: timedelta, version: str
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0"), now=now())

    with time_moved(monkeypatch, moved):
        run_here(installation)

    assert versions(installation) == [version]
    assert tries(installation) == ((2, 0) if version == "2.0" else (3, 0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda at: (at / "data").unlink(),
        lambda at: ((at / "data").chmod(0o644), (at / "data").write_bytes(b"longer")),
        lambda at: ((at / "data").unlink(), (at / "data").symlink_to("app")),
        lambda at: ((at / "data").unlink(), (at / "data").mkdir()),
        lambda at: (at / ".serinus/manifest").unlink(),
        lambda at: (
            (at / ".serinus/manifest").chmod(0o644),
            (at / ".serinus/manifest").write_bytes(b"another"),
        ),
    ],
)
def test_a_damaged_version_is_dropped_without_a_ban(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    built = arm(installation, an_app("2.0"), now=now())
    damage(installation.path_of(built))

    run_here(installation)

    state = installation.state.read()
    assert versions(installation) == ["1.0"]
    assert (state.pending, state.bans) == (None, ())
    assert state.last_result is not None
    assert state.last_result.outcome is Outcome.DAMAGED


@pytest.mark.parametrize(("status", "starts"), [(1, 3), (0, 8)])
def test_a_version_that_damages_itself_is_left_however_often_it_is_built(
    tmp_path: Path, status: int, starts: int
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    harm = f'd="$(dirname "$0")/data"; chmod u+w "$d"; echo more >> "$d"; exit {status}'
    if status == 0:
        seal = (
            """printf '\\n{"status": "exited"}\\n' >> $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
        )
        harm = f"{seal}; {harm}"
    bad = an_app("2.0", harm)

    for _ in range(30):
        if installation.pending() is None and not installation.state.bans():
            installation.collect_garbage([])
            arm(installation, bad, now=now())
        run_here(installation)

    assert [ban.reason for ban in installation.state.bans()] == ["tries_used_up"]
    assert 0 < versions(installation).count("2.0") <= starts


def test_a_clean_quit_is_refunded_though_the_arming_ran_out_first(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    good = an_app("2.0")
    arm(installation, good, now=now())
    run_here(installation)

    installation.state.disarm()
    arm(installation, good, now=now())

    assert tries(installation) == (3, 1)


def test_a_crash_is_counted_though_the_arming_ran_out_first(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    bad = an_app("2.0", "exit 1")
    arm(installation, bad, now=now())
    run_here(installation)

    installation.state.disarm()
    arm(installation, bad, now=now())

    assert tries(installation) == (2, 0)


@pytest.mark.parametrize("pulled", [True, False])
@pytest.mark.parametrize(("status", "left"), [(0, True), (1, False)])
def test_how_the_last_try_ended_decides_before_a_version_is_given_up(
    tmp_path: Path, *, pulled: bool, status: int, left: bool
) -> None:
    installation = an_installation(tmp_path)
    script = f"[ -e $SERINUS_ROOT/third ] && exit {status}; exit 1"
    app = an_app("2.0", script)
    built = arm(installation, app, now=now())
    for _ in range(2):
        run_here(installation)
    (installation.root / "third").touch()
    run_here(installation)
    assert tries(installation) == (0, 0)

    if pulled:
        installation.state.disarm()
    else:
        again = replace(app.goal, rollout=RolloutId("ro_again"))
        installation.state.arm(again, built, now=now(), not_after=now() + timedelta(hours=24))

    assert (installation.state.bans() == ()) is left


def test_a_version_is_tried_at_most_eight_times_however_often_it_is_armed(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    bad = an_app("2.0", "exit 0")

    for _ in range(12):
        if not installation.state.bans():
            arm(installation, bad, now=now())
        run_here(installation)
        installation.state.disarm()

    assert versions(installation) == ["2.0"] * 8 + ["1.0"] * 4


def test_a_healthy_app_that_quits_is_never_left(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    well = """printf '\\n{"healthy": true}\\n' >> $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
    arm(installation, an_app("2.0", well), now=now())

    for _ in range(12):
        run_here(installation)

    assert versions(installation) == ["2.0"] * 12
    assert tries(installation) == (2, 0)


def test_a_healthy_app_that_crashes_is_left(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    well = """printf '\\n{"healthy": true}\\n' >> $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
    install(installation, an_app("1.0"))
    arm(installation, an_app("2.0", f"{well}; exit 1"), now=now())

    for _ in range(4):
        run_here(installation)

    assert versions(installation) == ["2.0"] * 3 + ["1.0"]


def test_what_is_issued_anew_has_all_its_tries_whatever_was_left_before(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    bad = an_app("2.0", "exit 1")
    arm(installation, bad, now=now())
    run_here(installation)
    installation.state.disarm()
    arm(installation, bad, now=now())
    for _ in range(3):
        run_here(installation)
    assert [ban.reason for ban in installation.state.bans()] == ["tries_used_up"]

    arm(installation, bad, now=now())

    assert versions(installation) == ["2.0"] * 3 + ["1.0"]
    assert tries(installation) == (3, 0)


@pytest.mark.parametrize("wait", [True, False])
def test_a_try_that_ended_is_over_though_it_left_a_process_behind(
    tmp_path: Path, wait: bool
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    leaves = 'sleep 30 >&- 2>&- & echo $! >> "$SERINUS_ROOT/left"; exit 1'
    arm(installation, an_app("2.0", leaves), now=now())
    try:
        for _ in range(4):
            run(installation, wait=wait)
        markers = installation.markers()
        installation.collect_garbage([])
        kept = sorted(path.name.partition("-")[0] for path in installation.versions.iterdir())
    finally:
        for left in (installation.root / "left").read_text().split():
            os.kill(int(left), signal.SIGKILL)

    assert versions(installation) == ["2.0", "2.0", "2.0", "1.0"]
    assert [marker.alive for marker in markers] == [False] * 4
    assert kept == ["1.0", "2.0"]  # what was left behind still runs there


def test_an_app_that_restarts_itself_is_a_new_try_though_it_left_a_process_behind(
    tmp_path: Path,
) -> None:
    installation = an_installation(tmp_path)
    leaves = 'sleep 30 >&- 2>&- & echo $! > "$SERINUS_ROOT/left"'
    again = f'AGAIN=1 exec {sys.executable} -I "$SERINUS_ROOT/launcher.py"'
    script = f'[ -z "$AGAIN" ] || exit 1\n{leaves}\n{again}'
    arm(installation, an_app("2.0", script), now=now())
    try:
        run(installation, wait=False)
    finally:
        os.kill(int((installation.root / "left").read_text()), signal.SIGKILL)

    assert versions(installation) == ["2.0", "2.0"]
    assert tries(installation) == (1, 0)


def test_an_app_whose_launcher_was_killed_still_runs(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    noted = """grep -q '^{"process"' $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
    script = f"until {noted}; do sleep 0.01; done; echo $$; exec cat"
    arm(installation, an_app("2.0", script), now=now())
    command = installation.launcher_command(wait=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        app = int(launcher.stdout.readline())
        launcher.kill()
        launcher.wait()

        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.kill(app, signal.SIGKILL)

    assert tries(installation) == (2, 0)


def test_a_process_is_told_from_a_later_one_of_its_number_and_from_a_dead_one() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as other:
        place, number, began = module.process(other.pid)
        said = {"process": [place, number, began]}
        assert module.lives(said)
        assert not module.lives({"process": [place, number, "1"]})
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert not module.lives(said)  # dead, though nobody has taken note

    assert not module.lives(said)
    assert module.lives({"process": ["another container", number, began]})
    assert module.lives({})  # by a launcher of before


def test_where_the_system_does_not_say_when_a_process_began_its_number_must_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(path: str) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "No such file", path)

    monkeypatch.setattr(module, "read", missing)
    monkeypatch.setattr(module, "NAMESPACE", "/no/such/file")
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as other:
        said = {"process": module.process(other.pid)}
        assert module.lives(said)

    assert not module.lives(said)


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        (lambda at: ((at / "link").unlink(), (at / "link").symlink_to("empty")), NOTHING),
        (lambda at: ((at / "link").unlink(), (at / "link").touch()), NOTHING),
        (lambda at: ((at / "empty").rmdir(), (at / "empty").touch()), NOTHING),
        (lambda _: None, 0),
    ],
)
def test_links_and_empty_folders_are_looked_at_too(
    tmp_path: Path, damage: Callable[[Path], object], status: int
) -> None:
    installation = an_installation(tmp_path)
    built = arm(installation, pack({"link": "-> app", "empty": None}), now=now())
    damage(installation.path_of(built))

    assert run_here(installation) == status


def test_bytes_are_read_again_after_a_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    built = arm(installation, an_app("2.0"), now=now())
    data = installation.path_of(built) / "data"
    data.chmod(0o644)
    data.write_bytes(b"DATA")  # the same size

    with rebooted(monkeypatch):
        run_here(installation)

    assert versions(installation) == ["1.0"]
    assert installation.pending() is None


def test_bytes_are_read_once_for_each_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = an_installation(tmp_path)
    built = arm(installation, an_app("2.0"), now=now())
    data = installation.path_of(built) / "data"

    with rebooted(monkeypatch):
        run_here(installation)
        data.chmod(0o644)
        data.write_bytes(b"DATA")
        run_here(installation)

    assert versions(installation) == ["2.0", "2.0"]


def test_what_the_app_leaves_in_its_folder_does_not_end_its_trial(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    leaves = 'touch "$(dirname "$0")/left-behind"'
    arm(installation, an_app("2.0", leaves), now=now())

    run_here(installation)
    run_here(installation)

    assert versions(installation) == ["2.0", "2.0"]


def test_a_python_app_is_told_to_leave_no_caches(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    app = f"#!{sys.executable}\nimport other\n".encode()
    built = arm(installation, pack({"app": app, "other.py": b"pass\n"}), now=now())

    assert run(installation) == 0

    assert "__pycache__" not in {path.name for path in installation.path_of(built).rglob("*")}
