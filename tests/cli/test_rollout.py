"""Rollouts from the command line: start, look, steer, explain, watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from tests.cli.cli_world import LINUX, POLICY, Cli, Typing, rows, serving_admin
from update_server.clock import SystemClock
from update_server.service.rollouts.recount import Recounter
from update_server.store import SqlDatabase

INSTALL = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


def test_a_start_opens_the_first_ring(cli: Cli) -> None:
    cli.publish("1.0.0")

    done = cli.run("rollout", "start", "1.0.0")

    assert done.out.startswith("notes 1.0.0 on stable: active, ring internal, exposure 0 %")
    assert ["offered", "0", "0", "0"] in rows(done)


def test_a_version_that_was_never_published_cannot_start(cli: Cli) -> None:
    assert cli.refused("rollout", "start", "9.9.9") == "not_released"


def test_an_own_ladder_needs_a_reason(cli: Cli) -> None:
    cli.publish("1.0.0")
    ladder = cli.folder / "ladder.toml"
    ladder.write_text('[[step]]\nring = "half"\nexposure_bp = 5000\n')

    refused = cli.run("rollout", "start", "1.0.0", "--ladder", str(ladder), "--json", code=1)
    started = cli.json(
        "rollout", "start", "1.0.0", "--ladder", str(ladder), "--reason", "urgent"
    )  # fmt: skip

    assert (refused.error, refused.document["field"]) == ("bad_value", "reason")
    assert (started["ring"], started["exposure_bp"]) == ("half", 5000)


def test_a_mended_release_is_offered_first_to_installs_on_the_bad_one(cli: Cli) -> None:
    cli.publish("1.0.0")
    cli.publish("1.1.0")
    cli.start("1.0.0")
    cli.run("rollout", "pause", "--reason", "crashes")
    mend = ("rollout", "start", "1.1.0", "--first-for", "1.0.0")

    refused = cli.run(*mend, "--json", code=1)
    started = cli.json(*mend, "--reason", "crashes")

    assert (refused.error, refused.document["field"]) == ("bad_value", "reason")
    assert (started["first_for"], started["ring"]) == ("1.0.0", "internal")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.toml", "step = 1", ":1: step: must be a list"),
        ("a.toml", "\nstep = [", ":2: "),
        ("a.toml", "", ":1: says nothing"),
        (
            "a.toml",
            'alpha = 0.01\n[[step]]\nring = "a"\nexposur_bp = 5\n',
            ":4: step[0].exposur_bp: ",
        ),
        ("a.toml", "[metrics]\ncrash = 0.9\n", ":1: metrics: the weights sum to 1.6"),
        ("a.json", "[]", ": step: is empty"),
        ("a.json", "{\n", ":2: "),
        ("a.toml", "\udcff", ": 'utf-8' codec"),
    ],
)
def test_a_ladder_that_is_none_is_refused(cli: Cli, name: str, text: str, place: str) -> None:
    file = cli.folder / name
    file.write_bytes(text.encode(errors="surrogateescape"))

    done = cli.run("rollout", "start", "1.0.0", "--ladder", str(file), "--json", code=2)

    assert done.error == "bad_ladder"
    assert done.document["detail"].startswith(f"{file}{place}")


def test_rules_of_ones_own_need_no_reason_and_leave_the_ramp_alone(cli: Cli) -> None:
    cli.publish("1.0.0")
    (cli.folder / "ladder.toml").write_text('automatic = ["pause"]\ntimeout = "2 d"\n')

    started = cli.json("rollout", "start", "1.0.0", "--ladder", "ladder.toml")

    assert started["ring"] == "internal"


def test_a_ramp_of_a_ladder_becomes_steps(cli: Cli) -> None:
    cli.publish("1.0.0")
    (cli.folder / "ladder.toml").write_text(
        '[[step]]\nring = "all"\nexposure_bp = 4000\nschedule = "linear"\nover = "3 h"\n'
    )

    started = cli.json("rollout", "start", "1.0.0", "--ladder", "ladder.toml", "--reason", "x")

    assert [step["exposure_bp"] for step in started["ladder"]] == [1_000, 2_000, 3_000, 4_000]


def test_a_json_ladder_is_a_list_of_steps(cli: Cli) -> None:
    cli.publish("1.0.0")
    (cli.folder / "ladder.json").write_text('[{"ring": "all", "exposure_bp": 10000}]')

    started = cli.json("rollout", "start", "1.0.0", "--ladder", "ladder.json", "--reason", "x")

    assert started["ring"] == "all"


def test_rollouts_are_listed_newest_first(released: Cli) -> None:
    listed = released.json("rollout", "list")["items"]
    table = rows(released.run("rollout", "list"))

    assert [item["version"] for item in listed] == ["1.1.0", "1.0.0"]
    assert [row[1:5] for row in table] == [
        ["1.1.0", "stable", "active", "internal"],
        ["1.0.0", "stable", "completed", "all"],
    ]


def test_one_is_shown_by_version_by_name_or_as_the_newest(released: Cli) -> None:
    first = released.json("rollout", "show", "1.0.0")

    assert released.json("rollout", "show", first["id"])["version"] == "1.0.0"
    assert released.json("rollout", "show")["version"] == "1.1.0"
    assert released.run("rollout", "show").out.startswith("notes 1.1.0 on stable: active")


def test_one_that_is_not_there_is_refused(cli: Cli) -> None:
    assert cli.refused("rollout", "show") == "not_found"
    assert "notes has no rollout 7" in cli.run("rollout", "show", "7", code=1).err


def test_a_promotion_says_what_it_opens_and_asks(released: Cli) -> None:
    asked = released.run("rollout", "promote", typed="n\n", code=1)
    done = released.run("rollout", "promote", typed="y\n")

    assert "open ring 10% (10 %) of 1.1.0, after internal? [y/N] " in asked.err
    assert "serinus: nothing was done" in asked.err
    assert done.out.startswith("notes 1.1.0 on stable: active, ring 10%, exposure 10 %")


@pytest.fixture
def soaking(cli: Cli) -> Cli:
    """An app whose 1.0.0 was just started, under a policy whose first ring soaks for a day."""
    (cli.folder / "soak.toml").write_text(
        POLICY.replace('ring = "internal"', 'ring = "internal"\nsoak_seconds = 86400')
    )
    cli.json("app", "policy", "soak.toml", "--yes")
    cli.publish("1.0.0")
    return cli


def test_a_promotion_before_the_soak_is_over_says_so_first_and_how(soaking: Cli) -> None:
    started = soaking.run("rollout", "start", "1.0.0")
    asked = soaking.run("rollout", "promote", typed="y\n", code=1)
    refused = soaking.run("rollout", "promote", "--yes", "--json", code=1)

    opened_at = datetime.fromisoformat(soaking.json("rollout", "show")["position_reached_at"])
    until = f"{opened_at + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC"
    anyway = "serinus rollout promote 1.0.0 --override --reason TEXT"
    assert started.err == f"serinus: next: serinus rollout promote 1.0.0, from {until} on\n"
    first, question, *_ = asked.err.splitlines()
    assert first == (
        f"serinus: ring internal is to soak until {until}; before that only by {anyway}"
    )
    assert question.startswith("serinus: open ring 10% (10 %) of 1.0.0")
    assert refused.error == "approvals_missing"
    assert refused.document["hint"] == anyway
    assert refused.document["detail"] == (
        f"this goes beyond the signed ramp: 1.0.0: ring internal is to soak until {until}"
    )


@pytest.mark.parametrize("soaked", [False, True])
def test_an_override_needs_a_reason_whether_it_was_needed_or_not(
    soaking: Cli, *, soaked: bool
) -> None:
    if soaked:
        soaking.json("app", "policy", "policy.toml", "--yes")
    soaking.json("rollout", "start", "1.0.0")

    refused = soaking.refused("rollout", "promote", "--yes", "--override")
    done = soaking.json("rollout", "promote", "--yes", "--override", "--reason", "tested by hand")

    assert refused == "bad_value"
    assert done["ring"] == "10%"


def test_each_verb_says_what_comes_next(released: Cli) -> None:
    paused = released.run("rollout", "pause").err
    resumed = released.run("rollout", "resume", "--yes").err
    promoted = released.run("rollout", "promote", "--yes").err
    completed = released.run("rollout", "promote", "--yes").err

    assert paused == (
        "serinus: next: serinus rollout resume 1.1.0, or serinus rollout pull 1.1.0\n"
    )
    assert resumed == promoted == "serinus: next: serinus rollout promote 1.1.0\n"
    assert completed == ""


def test_a_promotion_may_name_a_later_ring(released: Cli) -> None:
    asked = released.run("rollout", "promote", "--ring", "nowhere", typed="n\n", code=1)
    refused = released.refused("rollout", "promote", "--ring", "nowhere", "--yes")
    promoted = released.json(
        "rollout", "promote", "--ring", "all", "--override", "--reason", "x", "--yes"
    )

    assert "promote 1.1.0 to nowhere?" in asked.err
    assert refused == "illegal_transition"
    assert promoted["ring"] == "all"


def test_nobody_is_asked_without_a_terminal(released: Cli) -> None:
    done = released.run("rollout", "promote", code=2)

    assert "there is no terminal to answer on" in done.err
    assert done.err.endswith("serinus: try the same command with --yes\n")


def test_a_pause_asks_nothing_and_a_second_one_has_nothing_to_do(released: Cli) -> None:
    done = released.run("rollout", "pause", "--reason", "crashes")
    again = released.run("rollout", "pause", "--json", code=3)

    assert "1.1.0 on stable: paused" in done.out
    assert "(crashes)" in done.out
    assert again.document["state"] == "paused"
    assert again.err == "serinus: 1.1.0 was paused already\n"


def test_a_resume_asks(released: Cli) -> None:
    released.run("rollout", "pause")

    assert "resume 1.1.0 in ring internal?" in released.run("rollout", "resume", code=2).err
    assert released.json("rollout", "resume", "--yes")["state"] == "active"


def test_a_pull_wants_the_version_typed(released: Cli) -> None:
    mistyped = released.run("rollout", "pull", typed="1.0.0\n", code=1)
    unasked = released.run("rollout", "pull", "--yes", code=2)
    done = released.run("rollout", "pull", "--replacement", "1.0.0", typed="1.1.0\n")
    again = released.run("rollout", "pull", "1.1.0", code=3)

    question = "pull withdraws 1.1.0 for good from 0 installs; installs go back to 1.0.0"
    assert f"{question}; type 1.1.0 to go on: " in mistyped.err
    assert "nothing was done: '1.0.0' is not '1.1.0'" in mistyped.err
    assert unasked.err == (
        f"serinus: {question} — there is no terminal to answer on\n"
        "serinus: try the same command with --confirm 1.1.0\n"
    )
    assert done.out.endswith("\ninstalls go back to 1.0.0\n")
    assert "1.1.0 on stable: pulled" in done.out
    assert again.err == "serinus: 1.1.0 was pulled already\n"


def test_a_pull_without_a_way_back_says_so(cli: Cli) -> None:
    cli.publish("1.0.0")
    cli.start("1.0.0")

    asked = cli.run("rollout", "pull", typed="\n", code=1).err
    done = cli.run("rollout", "pull", "--confirm", "1.0.0")

    told = "nobody is sent back: no completed version is a signed way back"
    assert told in asked
    assert told in done.out
    shown = cli.run("rollout", "show")
    assert told in shown.out
    assert "no replacement: installs stay on it" in shown.out
    assert cli.json("rollout", "show")["pull_plan"]["replacement"] is None


def test_a_pulled_rollout_shows_what_becomes_of_its_installs(released: Cli) -> None:
    assert released.json("rollout", "show")["pull_plan"] is None
    released.run("rollout", "pull", "--confirm", "1.1.0")

    uncounted = released.run("rollout", "show", "1.1.0").out
    with closing(SqlDatabase(f"sqlite:///{released.folder}/server/serinus.db")) as database:
        Recounter(database, SystemClock(), next_check_in_seconds=14_400).step()
    shown = released.run("rollout", "show", "1.1.0").out

    assert "replacement: 1.0.0\nwhat becomes of its installs is not counted yet\n" in uncounted
    assert "replacement: 1.0.0\n" in shown
    assert (
        "0 offered, 0 downloaded, 0 installed, of which 0 replaced (0 by 1.0.0),"
        " 0 still on it and 0 not heard from since the pull\n"
    ) in shown


def test_a_verb_that_does_not_fit_names_those_that_do(released: Cli) -> None:
    released.run("rollout", "pull", "--confirm", "1.1.0")

    done = released.run("rollout", "promote", "1.1.0", "--yes", "--json", code=1)

    assert done.error == "illegal_transition"
    assert done.document["legal"] == []


class Colleague(Typing):
    """Answers yes, after somebody else has promoted."""

    def __init__(self, cli: Cli) -> None:
        super().__init__("y\n")
        self._cli = cli

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        self._cli.run("rollout", "promote", "--yes")
        return super().readline(size)


def test_a_promotion_of_what_somebody_else_changed_meanwhile_is_refused(released: Cli) -> None:
    done = released.run("rollout", "promote", "--json", typed=Colleague(released), code=1)

    assert done.error == "precondition_failed"
    assert released.json("rollout", "show")["ring"] == "10%"


def test_an_assignment_is_explained_rule_by_rule(released: Cli) -> None:
    asked = ("rollout", "explain", INSTALL, "--platform", LINUX, "--version", "1.0.0")
    document = released.json(*asked)
    done = released.run(*asked)

    assert document["assignment"]["reason"] == "outside_ring"
    assert done.out.splitlines()[0].split() == ["rule", "entry", "outcome", "detail"]
    assert done.out.splitlines()[-1].startswith("stay")
    assert "evidence: no, no check-in of it was counted" in done.out


def test_an_assignment_is_explained_as_of_an_instant(released: Cli) -> None:
    asked = ("rollout", "explain", INSTALL, "--platform", LINUX, "--at")

    assert released.json(*asked, "2099-01-01T00:00:00Z")["assignment"]["reason"] == "stale_server"
    assert released.run(*asked, "tomorrow", "--json", code=1).error == "bad_field"


def test_changes_are_printed_one_by_one(released: Cli) -> None:
    done = released.run("rollout", "watch", "--seconds", "0.1")
    lines = released.run("rollout", "watch", "1.1.0", "--seconds", "0.1", "--json").out.splitlines()

    assert len(done.out.splitlines()) == 4
    assert "rollout 1.0.0 stable: state=completed ring=all" in done.out
    assert "release 1.1.0 stable: platforms=linux-x86_64" in done.out
    seen = [json.loads(line) for line in lines]
    assert [line["what"] for line in seen] == ["release 1.1.0 stable", "rollout 1.1.0 stable"]


def test_shares_are_told_in_percent(released: Cli) -> None:
    told = released.run("rollout", "watch", "--seconds", "0.1").out

    assert "exposure=100%" in told
    assert "_bp" not in told


def test_a_watch_of_what_is_not_there_is_refused(released: Cli) -> None:
    assert released.refused("rollout", "watch", "9.9.9", "--seconds", "0.1") == "not_found"


def test_a_terminal_gets_bars_below_the_lines(released: Cli) -> None:
    done = released.run("rollout", "watch", "--seconds", "0.1", typed="")

    assert "rollout 1.1.0 stable: ring internal" in done.err


def test_a_watch_of_a_server_that_never_answered_ends(workspace: Cli) -> None:
    workspace.set("127.0.0.1:8081", "127.0.0.1:9")

    assert workspace.refused("rollout", "watch") == "unreachable"


def test_a_watch_outlives_the_server_and_ends_when_interrupted(workspace: Cli) -> None:
    with serving_admin(workspace):
        workspace.publish("1.0.0")
        watcher = subprocess.Popen(
            [sys.executable, "-m", "update_server.cli.main", "rollout", "watch"],
            cwd=workspace.folder,
            env=os.environ | workspace.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        assert "release 1.0.0 stable" in watcher.stdout.readline()
    assert watcher.stderr is not None
    assert "does not answer" in watcher.stderr.readline()
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=20)
    assert (watcher.returncode, out, err) == (0, "", "")
