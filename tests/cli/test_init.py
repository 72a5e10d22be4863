"""A workspace is made whole or not at all."""

from __future__ import annotations

import contextlib
import json
import resource
import stat
from collections.abc import Iterator

import pytest

from tests.cli.cli_world import APP, LINUX, PASSPHRASE, Cli, init, serving_admin
from update_server import wiring
from update_server.cli.registration import this_platform


@contextlib.contextmanager
def a_full_disk() -> Iterator[None]:
    """No file of this process may grow beyond a few pages while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * 1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


PARTS = {"admin.token", "keys", "root.json", "serinus.toml", "server"}


def test_a_workspace_has_keys_settings_data_a_token_and_the_root(pristine: Cli) -> None:
    folder = pristine.folder
    given = {"passphrase", "policy.toml"}

    assert {path.name for path in folder.iterdir()} - given == PARTS
    assert stat.S_IMODE((folder / "admin.token").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "server").stat().st_mode) == 0o700
    keys = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder / "keys").iterdir()}
    assert keys == dict.fromkeys(("publisher.key", "root-backup.key", "root.key"), 0o600)
    assert json.loads((folder / "root.json").read_text())["signed"]["_type"] == "root"
    assert wiring.check(pristine.config) == ()


def test_the_document_says_where_everything_is(outsider: Cli) -> None:
    made = outsider.json(
        "init", "ws", "--app", APP, "--channel", "stable", "--channel", "beta",
        "--separate-keys", "--public", "127.0.0.1:18080", "--admin", "127.0.0.1:18081",
    )  # fmt: skip
    folder = outsider.folder / "ws"

    assert made == {
        "workspace": str(folder),
        "app": APP,
        "channels": ["stable", "beta"],
        "platforms": [this_platform()],
        "root": str(folder / "root.json"),
        "token_file": str(folder / "admin.token"),
        "data": str(folder / "server"),
    }
    names = {path.name for path in (folder / "keys").iterdir()}
    assert names == {"policy.key", "releases.key", "root-backup.key", "root.key", "targets.key"}
    assert 'public = "127.0.0.1:18080"' in (folder / "serinus.toml").read_text()


def test_people_are_told_what_comes_next(outsider: Cli) -> None:
    here = init(outsider)
    there = init(outsider, "other")

    assert here.out.startswith("notes is registered")
    assert here.err.endswith("serinus: next: serinus serve\n")
    assert there.err.endswith(f"serinus: next: cd {outsider.folder / 'other'}\n")


def test_the_name_of_the_app_is_asked_for_at_a_terminal(outsider: Cli) -> None:
    done = outsider.run("init", "ws", "--platform", LINUX, typed="diary\n")

    assert "serinus: name of the app: " in done.err
    assert done.out.startswith("diary is registered")


def test_nobody_is_asked_without_a_terminal(outsider: Cli) -> None:
    assert outsider.refused("init", "ws", code=2) == "no_terminal"
    assert not (outsider.folder / "ws").exists()


def test_the_app_of_a_workspace_around_it_is_not_taken(workspace: Cli) -> None:
    assert workspace.refused("init", "inside", code=2) == "no_terminal"


def test_a_workspace_is_never_made_anew(workspace: Cli) -> None:
    before = workspace.config_file.read_bytes()

    assert workspace.refused("init", "--app", "other") == "exists"
    assert workspace.config_file.read_bytes() == before


@pytest.mark.parametrize("part", sorted(PARTS - {"serinus.toml"}))
def test_what_is_in_the_way_is_not_touched(outsider: Cli, part: str) -> None:
    mine = outsider.folder / part
    mine.write_text("mine")

    done = outsider.run("init", "--app", APP, "--json", code=1)

    assert done.error == "exists"
    assert part in done.document["detail"]
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--app", "Bad_Name"], "bad_name"),
        (["--app", APP, "--channel", "omaha"], "bad_name"),
        (["--app", APP, "--platform", "linux"], "bad_name"),
        (["--app", APP, "--public", "nowhere"], "bad_config"),
        (["--app", APP, "--admin", "127.0.0.1:8080"], "bad_config"),
        (["--app", APP, "--team"], "not_here"),
        (["--app", APP, "--policy", "bad.toml"], "bad_policy"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_made(
    outsider: Cli, arguments: list[str], code: str
) -> None:
    (outsider.folder / "bad.toml").write_text("ramp = 1")

    assert outsider.refused("init", "ws", *arguments, code=2) == code
    assert not (outsider.folder / "ws").exists()


def test_a_path_that_is_too_long_for_the_signers_socket_is_refused(outsider: Cli) -> None:
    done = outsider.run("init", "long/" + "x" * 100, "--app", APP, "--json", code=2)

    assert done.error == "bad_config"
    assert "[server] data must be a shorter path" in done.document["detail"]
    assert not (outsider.folder / "long").exists()


@pytest.mark.parametrize(
    ("passphrase", "code", "exit_code"),
    [("short", "weak_passphrase", 1), (None, "no_passphrase", 2), ("", "no_terminal", 2)],
)
def test_keys_need_a_passphrase(
    outsider: Cli, passphrase: str | None, code: str, exit_code: int
) -> None:
    file = outsider.folder / "passphrase"
    file.unlink()
    if passphrase is not None:
        file.write_text(passphrase)
    variables = {"SERINUS_PASSPHRASE_FILE": "" if passphrase == "" else str(file)}

    done = outsider.run("init", "ws", "--app", APP, "--json", code=exit_code, variables=variables)

    assert done.error == code
    assert not (outsider.folder / "ws").exists()


def test_a_failure_leaves_nothing_and_a_second_try_works(outsider: Cli) -> None:
    refused = outsider.folder / "ws"
    refused.mkdir()
    (refused / "mine").write_text("mine")
    with a_full_disk():
        done = outsider.run("init", "ws", "--app", APP, "--json", code=1)
    assert done.error == "data_unusable"
    assert [path.name for path in refused.iterdir()] == ["mine"]

    assert outsider.json("init", "ws", "--app", APP)["app"] == APP


def test_a_failure_takes_the_new_folder_with_it(outsider: Cli) -> None:
    with a_full_disk():
        assert outsider.refused("init", "ws", "--app", APP) == "data_unusable"
    assert not (outsider.folder / "ws").exists()


def test_what_a_killed_try_left_is_cleared_up_by_the_next_one(outsider: Cli) -> None:
    folder = outsider.folder / "ws"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "root.key").write_text("half a key")
    (folder / "root.json").write_text("{")
    (folder / ".serinus.toml.begun").touch()

    outsider.json("init", "ws", "--app", APP)

    assert {path.name for path in folder.iterdir()} == PARTS
    assert (folder / "keys" / "root.key").read_text() != "half a key"


def test_a_second_app_has_a_root_of_its_own(cli: Cli) -> None:
    first = (cli.folder / "root.json").read_bytes()

    done = cli.run("app", "add", "--app", "diary", "--platform", LINUX)

    assert done.out == "diary is registered\n"
    assert (cli.folder / "root.json").read_bytes() == first
    assert (cli.folder / "root-diary.json").exists()
    program = f"{LINUX}={cli.program('1.0')}"
    released = cli.json("release", "publish", "1.0", "--app", "diary", "--artifact", program)
    assert released["releases"] == [{"version": "1.0", "channel": "stable", "platform": LINUX}]


def test_a_workspaces_passphrase_is_needed_to_register(workspace: Cli) -> None:
    (workspace.folder / "passphrase").write_text(PASSPHRASE.upper())
    with serving_admin(workspace):
        code = workspace.refused("app", "add", "--app", "diary", "--platform", LINUX)
    assert code == "wrong_passphrase"
