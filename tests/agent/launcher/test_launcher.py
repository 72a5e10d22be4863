"""The launcher: which version starts, what the app is told, what its parent does."""

import ast
import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from client_agent import launcher as module
from client_agent.platforms.linux import Linux
from client_agent.values import MarkerStatus
from tests.agent.launching import (
    NOTHING,
    an_app,
    now,
    run,
    run_here,
    started,
    tries,
    versions,
)
from tests.agent.trees import an_installation, arm, install

LAUNCHER = Path(module.__file__)


def test_the_launcher_imports_nothing_of_ours_and_nothing_slow() -> None:
    tree = ast.parse(LAUNCHER.read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"_sha2", "_sha256"}
    assert not {"pathlib", "uuid", "argparse", "datetime", "logging"} & names


def test_a_start_loads_neither_re_nor_openssl() -> None:
    code = "import sys; exec(open(sys.argv[1]).read(), {'__name__': ''}); print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code, str(LAUNCHER)]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert "_json" in loaded
    assert not {"json", "re", "enum", "hashlib", "_hashlib", "site"} & set(loaded)


@pytest.mark.parametrize("blocked", [(), ("_json",), ("_sha2", "_sha256")])
def test_any_python_reads_and_writes_the_same_state(
    blocked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in blocked:
        monkeypatch.setitem(sys.modules, name, None)
    body = {"seq": 7, "bans": [{"at": None, "reason": 'ö"\n'}], "current": {}, "share": 0.5}

    here = runpy.run_path(str(LAUNCHER))

    line = here["frame"](body)
    assert here["loads"](line) == json.loads(line)
    assert json.loads(line)["body"] == body
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    assert json.loads(line)["sum"] == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("blocked", [(), ("_json",)])
@pytest.mark.parametrize(
    "text", [b"", b"[1]", b"{", b'{"a": 1} {', b'{"a": \xff}', b'{"a": nul}', b"[" * 100_000]
)
def test_any_python_refuses_what_is_no_object(
    text: bytes, blocked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in blocked:
        monkeypatch.setitem(sys.modules, name, None)
    here = runpy.run_path(str(LAUNCHER))

    with pytest.raises(ValueError, match=r"."):
        here["loads"](text)


def test_the_launcher_is_small() -> None:
    lines = LAUNCHER.read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", '"""'))]

    assert len(code) <= 365  # read in one sitting


def test_launch_ids_are_random_uuids() -> None:
    drawn = {module.new_id() for _ in range(100)}

    assert len(drawn) == 100
    assert all(str(uuid.UUID(each)) == each and uuid.UUID(each).version == 4 for each in drawn)


def test_launcher_and_platform_agree_on_what_a_boot_is() -> None:
    assert module.boot_id() == Linux().boot_id() != ""


@pytest.mark.parametrize("wait", [True, False])
def test_current_starts_with_the_arguments_and_status_of_the_app(
    tmp_path: Path, wait: bool
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", "exit 3"))

    assert run(installation, "--open", "a file", wait=wait) == 3
    assert started(installation) == ["1.0 --open a file"]


def test_the_app_is_told_its_launch_and_its_root(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    script = 'echo "$SERINUS_LAUNCH" > "$SERINUS_ROOT/told"; ls -l /proc/self/fd/$SERINUS_LAUNCH_FD'
    install(installation, an_app("1.0", script + ' >> "$SERINUS_ROOT/told"'))
    installation.state.set_token(installation.state.read().current.version, "TOKEN")  # type: ignore[union-attr]

    run(installation, wait=False)

    (marker,) = installation.markers()
    launch_id, descriptor = (installation.root / "told").read_text().splitlines()
    assert launch_id == marker.launch_id
    assert descriptor.endswith(str(installation.launches / f"{launch_id}.json"))
    assert (marker.token, marker.trial, marker.status) == ("TOKEN", False, MarkerStatus.OPEN)


def test_the_app_is_told_which_app_was_meant(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", 'echo "$SERINUS_LAUNCH_APP" > "$SERINUS_ROOT/told"'))

    run(installation)

    assert (installation.root / "told").read_text() == "demo\n"


def test_a_launcher_that_is_asked_to_kills_an_app_that_does_not_quit(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    stays = 'trap "" TERM; sleep 0.3; echo $$; while :; do sleep 0.05; done'
    arm(installation, an_app("1.0", stays), now=now())
    command = installation.launcher_command(wait=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        app = int(child.stdout.readline())

        child.terminate()
        child.send_signal(signal.SIGUSR2)

        assert child.wait(20) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(app, 0)
    assert tries(installation) == (2, 0)


def test_the_root_is_where_the_launcher_lies_and_not_where_somebody_stands(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0"))
    link = tmp_path / "shortcut"
    link.symlink_to(installation.root / "launcher.py")
    elsewhere = {**os.environ, "SERINUS_ROOT": "/nowhere", "SERINUS_LAUNCH": "x"}

    subprocess.run([sys.executable, "-I", link], check=True, cwd="/", env=elsewhere)

    assert versions(installation) == ["1.0"]


def test_nothing_to_start_is_said_and_has_its_own_status(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)

    done = subprocess.run(
        installation.launcher_command(), check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (NOTHING, "")
    assert done.stderr == "serinus: no version of this app can be started\n"
    assert run_here(installation) == NOTHING


@pytest.mark.parametrize(
    ("script", "code", "status"),
    [
        ("exit 0", 0, MarkerStatus.EXITED),
        ("exit 1", 1, MarkerStatus.CRASHED),
        ("exit 7", 7, MarkerStatus.CRASHED),  # before it was healthy
        ("kill -SEGV $$", 128 + 11, MarkerStatus.CRASHED),
        ("kill -TERM $$", 128 + 15, MarkerStatus.CRASHED),  # not by us
    ],
)
def test_the_parent_seals_the_marker_with_what_it_saw(
    tmp_path: Path, script: str, code: int, status: MarkerStatus
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", script))

    assert run_here(installation) == code

    (marker,) = installation.markers()
    assert (marker.status, marker.exit_code) == (status, code)
    assert marker.ended is not None


def test_a_code_that_is_no_crash_is_an_error_once_healthy(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    healthy = """printf '\\n{"healthy": true}\\n' >> $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
    install(installation, an_app("1.0", f"{healthy}; exit 7"))

    run_here(installation)

    (marker,) = installation.markers()
    assert (marker.status, marker.healthy) == (MarkerStatus.ERRORED, True)


def test_the_parent_knows_better_than_an_app_that_called_itself_finished(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    seal = """printf '\\n{"status": "exited"}\\n' >> $SERINUS_ROOT/launches/$SERINUS_LAUNCH.json"""
    install(installation, an_app("1.0", f"{seal}; exit 1"))

    run_here(installation)

    assert [marker.status for marker in installation.markers()] == [MarkerStatus.CRASHED]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_parent_passes_signals_on_and_calls_that_a_clean_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", "exec cat"))
    command = installation.launcher_command(wait=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(b"x\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == b"x\n"  # it runs
        parent.send_signal(number)
        assert parent.wait(timeout=30) == 128 + number

    (marker,) = installation.markers()
    assert (marker.status, marker.alive) == (MarkerStatus.EXITED, False)


def test_an_app_that_runs_on_is_alive_though_its_launcher_is_gone(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    install(installation, an_app("1.0", "exec cat"))
    command = installation.launcher_command()

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as app:
        assert app.stdin is not None
        assert app.stdout is not None
        app.stdin.write(b"x\n")
        app.stdin.flush()
        app.stdout.readline()
        assert [marker.alive for marker in installation.markers()] == [True]
        app.kill()

    assert [marker.alive for marker in installation.markers()] == [False]


def test_an_app_that_restarts_itself_does_not_keep_its_old_marker(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    again = f'[ -n "$AGAIN" ] || AGAIN=1 exec {sys.executable} -I "$SERINUS_ROOT/launcher.py"'
    install(installation, an_app("1.0", f"{again}\ncat"))
    command = installation.launcher_command()

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as app:
        assert app.stdin is not None
        assert app.stdout is not None
        app.stdin.write(b"x\n")
        app.stdin.flush()
        app.stdout.readline()
        assert versions(installation) == ["1.0", "1.0"]
        assert sorted(marker.alive for marker in installation.markers()) == [False, True]
        app.kill()


# --- frozen ------------------------------------------------------------------------------


def test_a_frozen_launcher_keeps_its_own_libraries_from_the_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/srv/app/.launcher:/opt/theirs")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/theirs")

    environment = module.given_environment()

    assert environment["LD_LIBRARY_PATH"] == "/opt/theirs"
    assert "LD_LIBRARY_PATH_ORIG" not in environment
    assert environment["PYINSTALLER_RESET_ENVIRONMENT"] == "1"


def test_where_nothing_was_set_before_a_frozen_launcher_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/srv/app/.launcher")
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG", raising=False)

    assert module.given_environment()["LD_LIBRARY_PATH"] == ""


def test_a_launcher_that_is_not_frozen_passes_the_environment_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/theirs")

    assert module.given_environment() == dict(os.environ)
