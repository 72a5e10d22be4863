"""What is set aside, from the command line."""

from __future__ import annotations

from tests.cli.cli_world import Cli
from update_server.cli.quarantine import RULES
from update_server.evidence.facts import Rule


def test_nothing_is_set_aside_at_first(released: Cli) -> None:
    assert released.json("quarantine", "list") == {"counts": [], "items": []}
    assert released.json("quarantine", "list", "--each", "--rule", "implausible")["items"] == []
    assert "none yet" in released.run("quarantine", "list").err


def test_what_a_rule_set_aside_is_accepted_or_dropped(released: Cli) -> None:
    accepted = released.run("quarantine", "accept", "implausible", "--reason", "a test lab")
    dropped = released.json(
        "quarantine", "drop", "unknown_version", "--version", "1.1.0", "--reason", "old builds"
    )

    assert accepted.out == "accepted 0 reports that implausible set aside\n"
    assert dropped == {"action": "drop", "rule": "unknown_version", "reports": 0}


def test_a_decision_names_a_rule_and_a_reason(released: Cli) -> None:
    assert released.run("quarantine", "drop", "arm", "--reason", "x", code=2).code == 2
    assert "--reason" in released.run("quarantine", "accept", "implausible", code=2).err


def test_all_rules_can_be_named() -> None:
    assert sorted(RULES) == sorted(Rule)
