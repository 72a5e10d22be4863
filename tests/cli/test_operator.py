"""Operators from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.cli_world import Cli, rows


def test_an_operator_is_added_with_a_link_that_is_shown_once(cli: Cli) -> None:
    told = cli.run("operator", "add", "ana", "--role", "operator")
    made = cli.json("operator", "add", "ben", "--role", "admin", "--all-apps", "--identity", "B@x")

    assert told.err == "serinus: the link is shown only once, works once, and for 24 hours\n"
    assert "/set-password/" in told.out
    assert told.out.startswith("http")
    assert (made["role"], made["app"], made["identity"]) == ("admin", None, "b@x")
    listed = cli.json("operator", "list")["items"]
    assert [(item["name"], item["app"]) for item in listed] == [("ana", "notes"), ("ben", None)]
    assert "set-password" not in str(listed)
    assert rows(cli.run("operator", "list"))[0][1:3] == ["ana", "operator"]


def test_a_first_password_comes_from_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "first").write_text("given by somebody\n")
    add = ("operator", "add", "ana", "--role", "viewer", "--first-password-file")

    told = cli.run(*add, str(tmp_path / "first"))

    assert told.out == "ana may sign in, and must change the password then\n"
    assert cli.refused(*add, str(tmp_path / "none"), code=2) == "no_password"
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert cli.refused(*add, str(tmp_path / "bytes"), code=2) == "no_password"


def test_an_operator_is_named_or_meant_by_id(cli: Cli) -> None:
    made = cli.json("operator", "add", "ana", "--role", "operator")

    assert cli.run("operator", "role", "Ana", "viewer").out == "ana is now viewer\n"
    assert cli.json("operator", "role", made["id"], "admin")["role"] == "admin"
    assert cli.refused("operator", "role", "eve", "admin", code=2) == "unknown_operator"


def test_a_reset_makes_a_new_link(cli: Cli) -> None:
    made = cli.json("operator", "add", "ana", "--role", "operator")

    asked = cli.run("operator", "reset", "ana", code=2)
    again = cli.json("operator", "reset", "ana", "--yes")

    assert asked.err.startswith("serinus: take the password")
    assert again["link"] != made["link"]


def test_a_removed_operator_is_gone(cli: Cli) -> None:
    made = cli.json("operator", "add", "ana", "--role", "operator")

    assert cli.json("operator", "remove", "ana", "--yes") == {"removed": made["id"]}
    assert cli.json("operator", "list")["items"] == []
    assert cli.refused("operator", "add", "ana", "--role", "king", code=2) == "usage"
