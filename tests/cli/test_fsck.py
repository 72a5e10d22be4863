"""`serinus fsck` finds what does not agree, and rebuilds a lost database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.cli_world import Cli, serving_admin


def first_file(cli: Cli, pattern: str) -> Path:
    return next((cli.folder / "server" / "files").rglob(pattern))


def test_a_whole_server_agrees(released: Cli) -> None:
    assert released.json("fsck") == {"ok": True, "findings": []}
    assert released.run("fsck").out == "all agree\n"


def test_a_file_that_was_changed_is_found(released: Cli) -> None:
    document = first_file(released, "*.release.json")
    document.write_bytes(document.read_bytes()[:-1])

    done = released.run("fsck", "--json", code=1)
    told = released.run("fsck", code=1)

    assert done.document["ok"] is False
    assert {finding["app"] for finding in done.document["findings"]} == {"notes"}
    assert told.out.endswith(f"{len(done.document['findings'])} findings\n")


def test_the_settings_may_be_named(released: Cli, outsider: Cli) -> None:
    assert outsider.json("fsck", "--config", str(released.config_file))["ok"] is True
    assert outsider.refused("fsck", "--config", "nowhere.toml", code=2) == "bad_config"
    assert outsider.refused("fsck", code=2) == "no_workspace"


def test_a_lost_database_is_rebuilt_from_the_signed_metadata(released: Cli) -> None:
    for file in (released.folder / "server").glob("serinus.db*"):
        file.unlink()

    assert released.run("fsck", "--rebuild", code=2).err.startswith("serinus: rebuild the database")
    assert not (released.folder / "server" / "serinus.db").exists()
    done = released.run("fsck", "--rebuild", "--yes")

    assert "serinus: notes was rebuilt from its signed metadata\n" in done.err
    assert done.out == "all agree\n"


def test_after_a_rebuild_releases_and_rollouts_are_there(released: Cli) -> None:
    for file in (released.folder / "server").glob("serinus.db*"):
        file.unlink()
    released.run("fsck", "--rebuild", "--yes")

    with serving_admin(released):
        releases = {item["version"] for item in released.json("release", "list")["items"]}
        (token,) = released.json("token", "list")["items"]

    assert "1.0.0" in releases
    assert (token["role"], token["app"]) == ("admin", None)


def test_tokens_are_lost_with_the_database_and_a_new_one_is_written(released: Cli) -> None:
    file = released.folder / "admin.token"
    old = file.read_text()
    for lost in (released.folder / "server").glob("serinus.db*"):
        lost.unlink()

    told = released.run("fsck", "--rebuild", "--yes").err
    new = file.read_text()
    again = released.run("fsck", "--rebuild", "--yes").err

    assert f"a new one for an admin is in {file}\n" in told
    assert new != old
    assert file.stat().st_mode & 0o777 == 0o600
    assert "a new one" not in again
    assert file.read_text() == new


def test_a_token_that_cannot_be_written_down_is_not_made(released: Cli) -> None:
    for lost in (released.folder / "server").glob("serinus.db*"):
        lost.unlink()
    (released.folder / "admin.token").unlink()
    in_the_way = released.folder / "admin.token"
    in_the_way.mkdir()

    assert released.refused("fsck", "--rebuild", "--yes") == "os_error"

    in_the_way.rmdir()
    assert "a new one for an admin" in released.run("fsck", "--rebuild", "--yes").err


@pytest.mark.parametrize(
    "database", ["postgresql://nobody@127.0.0.1:9/none", "sqlite:////proc/none/serinus.db"]
)
def test_a_database_that_is_away_is_no_stack_trace(released: Cli, database: str) -> None:
    released.set("[server]", f'[server]\ndatabase = "{database}"')

    done = released.run("fsck", "--json", code=1)

    assert done.error == "data_unusable"
    assert "the server's data cannot be used" in done.err
