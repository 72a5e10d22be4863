"""Apps and their policies from the command line."""

from __future__ import annotations

import pytest

from tests.cli.cli_world import LINUX, Cli, rows


def test_apps_are_listed(cli: Cli) -> None:
    assert [item["app"] for item in cli.json("app", "list")["items"]] == ["notes"]
    assert rows(cli.run("app", "list")) == [["notes", "stable", LINUX, "True"]]


def test_an_app_is_shown_with_its_signed_roles(cli: Cli) -> None:
    shown = cli.json("app", "show")

    roles = {"root", "targets", "policy", "rollout.stable", "snapshot", "timestamp"}
    assert roles <= set(shown["versions"])
    assert "metadata" not in shown
    assert ["root", "1"] in rows(cli.run("app", "show"))


def test_the_policy_in_force_is_shown(cli: Cli) -> None:
    assert cli.json("app", "policy")["policy"]["internal_groups"] == ["staff"]
    assert "internal_groups" in cli.run("app", "policy").out


def test_a_new_policy_is_signed_and_handed_in(cli: Cli) -> None:
    (cli.folder / "new.json").write_text('{"link_hosts": ["example.org"]}')

    assert cli.run("app", "policy", "new.json", code=2).err.startswith(
        "serinus: replace the policy"
    )
    done = cli.run("app", "policy", "new.json", "--yes")

    assert done.out == "the policy of stable is in force\n"
    assert cli.json("app", "policy")["policy"]["link_hosts"] == ["example.org"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.toml", "ramp = ["),
        ("p.toml", "schema = 7"),
        ("p.toml", '[[ramp]]\nring = "all"\nexposure_bp = 10001'),
        ("p.toml", '[[ramp]]\nring = "all"\nexposure_bp = 1000\nmargin = 2'),
        ("p.toml", "ramp = 1"),
        ("p.json", "[]"),
        ("p.json", "{"),
        ("p.toml", "\udcff"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(cli: Cli, name: str, text: str) -> None:
    (cli.folder / name).write_bytes(text.encode(errors="surrogateescape"))

    assert cli.refused("app", "policy", name, "--yes", code=2) == "bad_policy"


def test_a_ramp_by_schedule_is_signed_as_steps(cli: Cli) -> None:
    (cli.folder / "p.toml").write_text(
        '[[ramp]]\nring = "all"\nexposure_bp = 3000\nschedule = "linear"\nover = "2 h"\n'
        'soak = "1 d"\n'
    )

    cli.run("app", "policy", "p.toml", "--yes")

    ramp = cli.json("app", "policy")["policy"]["ramp"]
    assert [(step["exposure_bp"], step["soak_seconds"]) for step in ramp] == [
        (1_000, 3_600),
        (2_000, 3_600),
        (3_000, 86_400),
    ]


def test_an_app_is_not_registered_twice(cli: Cli) -> None:
    before = (cli.folder / "root.json").read_bytes()

    code = cli.refused("app", "add", "--platform", LINUX)

    assert code not in {"internal", "http_500"}
    assert (cli.folder / "root.json").read_bytes() == before


def test_a_registered_app_gets_platforms_but_no_channels(cli: Cli) -> None:
    add = ("app", "add", "--platform", "macos-arm64")

    assert cli.refused(*add, "--channel", "beta") == "exists"
    assert cli.run(*add).out == f"notes is registered for {LINUX} macos-arm64\n"
    assert cli.json("app", "list")["items"][0]["platforms"] == [LINUX, "macos-arm64"]


def test_a_name_that_is_none_is_refused(cli: Cli) -> None:
    assert cli.refused("app", "add", "--app", "Bad", "--platform", LINUX, code=2) == "bad_name"
