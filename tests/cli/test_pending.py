"""Verbs that wait for a second person, from the command line."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.cli.cli_world import POLICY, Cli, rows
from update_server.cli.pending import options

TWO = POLICY.replace("exposure_bp = 10000", "exposure_bp = 10000\napprovals = 2").replace(
    "exposure_bp = 1000\n", "exposure_bp = 1000\napprovals = 2\n"
)


@pytest.fixture
def ann(cli: Cli) -> Cli:
    """One operator of an app whose 1.0.0 is at its first ring; two have to open the next."""
    (cli.folder / "two.toml").write_text(
        f"{TWO}\n[approvals]\noutside_ramp = 2\nresume_after_auto_pause = 2\n"
    )
    cli.json("app", "policy", "two.toml", "--yes")
    cli.publish("1.0.0")
    cli.run("rollout", "start", "1.0.0")
    return operator(cli, "ann")


@pytest.fixture
def ben(ann: Cli) -> Cli:
    """Another one."""
    return operator(ann, "ben")


def operator(cli: Cli, name: str) -> Cli:
    """Return the same command line in the hands of an operator with a token of their own."""
    admin = replace(cli, variables={k: v for k, v in cli.variables.items() if k != "SERINUS_TOKEN"})
    token = admin.json("token", "new", name, "--role", "operator")["token"]
    return replace(cli, variables={**cli.variables, "SERINUS_TOKEN": token})


def test_the_first_one_is_told_until_when_and_what_the_second_one_runs(ann: Cli, ben: Cli) -> None:
    done = ann.run("rollout", "promote", "--yes", "--reason", "all is well")

    assert done.out.startswith("notes 1.0.0 on stable: promote to ring 10% waits for a second")
    told = next(line for line in done.err.splitlines() if "they run: " in line)
    command = shlex.split(told.partition("they run: serinus ")[2])
    assert command == [
        "rollout", "promote", "1.0.0", "--app", "notes", "--reason", "all is well",
    ]  # fmt: skip
    assert ben.run(*command, "--yes").out.startswith("notes 1.0.0 on stable: active, ring 10%")


def test_a_program_is_told_by_pending_and_not_by_the_exit_code(ann: Cli) -> None:
    waits = ann.json("rollout", "promote", "--yes")["pending"]
    again = ann.json("rollout", "promote", "--yes")["pending"]

    assert again == waits
    assert (waits["verb"], waits["ring"], waits["needs"], waits["has"]) == ("promote", "10%", 2, 1)
    assert waits["asked_by"].startswith("ann (tok_")
    until = datetime.fromisoformat(waits["expires_at"])
    assert until - datetime.fromisoformat(waits["asked_at"]) == timedelta(hours=1)
    assert ann.json("rollout", "show")["ring"] == "internal"


def test_what_waits_is_listed_and_withdrawn(ann: Cli, ben: Cli) -> None:
    ask = ann.json("rollout", "promote", "--yes")["pending"]["id"]

    listed = ben.json("rollout", "pending")["items"]
    (row,) = rows(ben.run("rollout", "pending"))
    withdrawn = ben.run("rollout", "withdraw", ask)

    assert [item["id"] for item in listed] == [ask]
    assert row[:8] == [ask, "promote", "1.0.0", "stable", "10%", "1", "of", "2"]
    assert withdrawn.out == f"{ask} waits no more\n"
    assert ben.json("rollout", "pending") == {"items": []}
    assert ben.refused("rollout", "withdraw", ask) == "unknown_pending_verb"


def test_a_start_outside_the_ramp_waits_too(ann: Cli, ben: Cli) -> None:
    ann.publish("1.1.0")
    (ann.folder / "own.toml").write_text('[[step]]\nring = "all"\nexposure_bp = 5000\n')
    wanted = ("rollout", "start", "1.1.0", "--ladder", "own.toml", "--reason", "urgent fix")

    done = ann.run(*wanted)
    started = ben.json(*wanted)

    assert "they run: serinus rollout start 1.1.0 --app notes --channel stable" in done.err
    assert "--ladder own.toml --reason 'urgent fix'" in done.err
    assert started["exposure_bp"] == 5_000


def test_lifting_a_hold_waits_too(ann: Cli, ben: Cli) -> None:
    hold = ann.json(
        "hold", "add", "--title", "Driver", "--link", "https://status.example.org/h1",
        "--audience", '{"country": ["AT"]}',
    )["id"]  # fmt: skip

    done = ann.run("hold", "lift", hold, "--yes")
    (row,) = rows(ben.run("rollout", "pending"))
    lifted = ben.json("hold", "lift", hold, "--yes")

    assert done.out.startswith(f"notes 1.0.0 on stable: lift hold {hold} waits for a second person")
    assert f"they run: serinus hold lift {hold} --app notes" in done.err
    assert row[1:5] == ["lift", "1.0.0", "stable", hold]
    assert lifted == {"lifted": hold}
    assert ben.json("hold", "list")["items"] == []


def test_an_override_is_in_what_the_second_one_runs(ann: Cli) -> None:
    done = ann.run(
        "rollout", "promote", "--ring", "all", "--override", "--reason", "now", "--yes"
    )  # fmt: skip

    assert "promote 1.0.0 --app notes --ring all --override --reason now" in done.err


def test_a_command_is_told_with_what_was_given_and_no_more() -> None:
    given = options(
        ring="10%", reason="", override=False, ladder=None, first_for="1.0", waive=["a", "b"]
    )

    assert given == ["--ring", "10%", "--first-for", "1.0", "--waive", "a", "--waive", "b"]
