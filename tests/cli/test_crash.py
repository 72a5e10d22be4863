"""Crashes from the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.cli.cli_world import APP, Cli, rows
from tests.store.crash_values import a_group, a_report, a_sample
from update_server import wiring

ONE, TWO = "1f2e3d4c5b6a7988", "00112233445566ff"
FRAMES = [
    {"module": "notes.ui", "function": "save\x1b[31m", "file": "ui.py", "line": 7},
    {"module": "libnotes.so", "offset": 4096},
    {"file": "main.js", "function": "boom"},
    {},
]


@pytest.fixture
def crashed(released: Cli) -> Cli:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    reports = [
        a_report(key, app=APP, version="1.1.0", signature=name, at=at)
        for key, name in (("1", ONE), ("2", ONE), ("2", TWO))
    ]
    with wiring.database(released.config).transaction() as stores:
        stores.crashes.note(reports)
        stores.crashes.note_groups([a_group(name, app=APP) for name in (ONE, TWO)])
        sample = a_sample(app=APP, version="1.1.0", signature=ONE, body={"frames": FRAMES})
        stores.crashes.add_samples([sample])
    return released


def test_crashes_are_listed(crashed: Cli) -> None:
    listed = crashed.json("crash", "list", "--version", "1.1.0", "--channel", "stable")["items"]

    assert [(item["signature"], item["installs"]) for item in listed] == [(ONE, 2), (TWO, 1)]
    assert rows(crashed.run("crash", "list"))[0][:4] == [ONE, "2", "2", "0"]
    assert "none yet" in crashed.run("crash", "list", "--version", "1.0.0").err


def test_a_crash_is_shown_with_its_stack(crashed: Cli) -> None:
    told = crashed.run("crash", "show", ONE).out.splitlines()

    assert told[0] == "ValueError in notes:save"
    assert told[-5:] == [
        "1.1.0 on stable: new",
        "  notes.ui:save?[31m (ui.py:7)",
        "  libnotes.so+0x1000",
        "  main.js:boom",
        "  ?:?",
    ]
    assert crashed.json("crash", "show", ONE)["signature"] == ONE


def test_waivers_that_name_it_are_shown(crashed: Cli) -> None:
    crashed.run("waiver", "add", ONE, "--version", "1.1.0", "--reason", "known")

    assert "waived for 1.1.0 on stable until" in crashed.run("crash", "show", ONE).out


def test_two_crashes_may_be_the_same(crashed: Cli) -> None:
    assert crashed.json("crash", "same", TWO, ONE, "--reason", "one bug")["same"] == [TWO]
    assert len(crashed.json("crash", "list")["items"]) == 1
    assert crashed.refused("crash", "same", ONE, TWO) == "bad_value"


def test_what_was_never_seen_is_said_where_to_look_for(crashed: Cli) -> None:
    missing = crashed.run("crash", "show", "0" * 16, code=1).err

    assert missing.endswith("serinus: try serinus crash list\n")
