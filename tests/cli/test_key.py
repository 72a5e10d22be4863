"""Key files from the command line."""

from __future__ import annotations

import stat

from signing.keys import new_plain_key
from tests.cli.cli_world import Cli, words


def test_the_workspaces_keys_are_listed(workspace: Cli) -> None:
    (workspace.folder / "keys" / "root.key").chmod(0o644)

    items = workspace.json("key", "list")["items"]
    told = workspace.run("key", "list")

    assert [item["owner"] for item in items] == ["publisher", "root backup", "root"]
    assert [item["private"] for item in items] == [True, True, False]
    assert all(item["encrypted"] for item in items)
    assert "can be read by others; try chmod 600" in told.err


def test_a_key_that_is_damaged_is_told(workspace: Cli) -> None:
    (workspace.folder / "keys" / "root.key").write_text("{}")

    assert workspace.refused("key", "list") == "bad_key_file"


def test_a_new_key_is_encrypted_and_private_and_never_overwritten(outsider: Cli) -> None:
    made = outsider.json("key", "new", "anna.key", "--owner", "anna")

    file = outsider.folder / "anna.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert outsider.refused("key", "new", "anna.key", "--owner", "anna") == "key_exists"
    exported = outsider.json("key", "export", "anna.key")["key"]
    assert exported["keyid"] == made["key"]["keyid"]
    public = outsider.run("key", "export", "anna.key").out.strip()
    assert public == exported["keyval"]["public"]
    told = outsider.run("key", "new", "ben.key", "--owner", "ben")
    assert words(told.out)[0] == "ben.key:"


def test_a_key_is_printed_encrypted_only(outsider: Cli) -> None:
    outsider.json("key", "new", "anna.key", "--owner", "anna")
    new_plain_key(outsider.folder / "plain.key")

    paper = outsider.json("key", "export", "anna.key", "--paper")["paper"]

    assert paper == (outsider.folder / "anna.key").read_text()
    assert outsider.run("key", "export", "anna.key", "--paper").out.strip() == paper.strip()
    assert outsider.refused("key", "export", "plain.key", "--paper") == "plain_key"


def test_what_is_no_key_is_refused(outsider: Cli) -> None:
    assert outsider.refused("key", "export", "passphrase") == "bad_key_file"
    assert outsider.refused("key", "list", code=2) == "no_workspace"
