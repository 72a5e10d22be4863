"""Waivers from the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.cli.cli_world import Cli, rows

SIGNATURE = "1f2e3d4c5b6a7988"


def test_a_waiver_is_made_listed_and_removed(released: Cli) -> None:
    add = ("waiver", "add", SIGNATURE, "--version", "1.1.0", "--reason", "mended in 1.1.1")

    told = released.run(*add, "--days", "3")
    (listed,) = released.json("waiver", "list")["items"]

    assert told.out == f"waiver {listed['id']} holds until {listed['expires_at']}\n"
    assert told.err == "serinus: next: serinus rollout resume 1.1.0\n"
    life = datetime.fromisoformat(listed["expires_at"]) - datetime.fromisoformat(
        listed["created_at"]
    )
    assert timedelta(days=3) - timedelta(minutes=5) < life <= timedelta(days=3)
    assert rows(released.run("waiver", "list"))[0][1:4] == ["stable", "1.1.0", SIGNATURE]
    assert released.json("waiver", "remove", listed["id"]) == {"removed": listed["id"]}
    assert released.json("waiver", "list")["items"] == []
    gone = released.run("waiver", "remove", listed["id"], code=1).err
    assert gone.endswith("serinus: try serinus waiver list\n")


def test_a_waiver_is_of_a_signature_and_has_a_reason(released: Cli) -> None:
    odd = ("waiver", "add", "all", "--version", "1.1.0", "--reason", "known")

    assert released.refused(*odd) == "bad_field"
    assert "--reason" in released.run(*odd[:-2], code=2).err
    assert released.run(*odd, "--days", "15", code=2).code == 2


def test_a_resume_makes_waivers_and_needs_a_reason_then(released: Cli) -> None:
    released.run("rollout", "pause", "--reason", "crashes")
    resume = ("rollout", "resume", "--yes", "--waive", SIGNATURE)

    refused = released.run(*resume, "--json", code=1)
    released.run(*resume, "--reason", "known")

    assert (refused.error, refused.document["field"]) == ("bad_value", "reason")
    (waiver,) = released.json("waiver", "list")["items"]
    assert (waiver["signature"], waiver["version"]) == (SIGNATURE, "1.1.0")
