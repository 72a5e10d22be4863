"""``serinus rehearse``: formulas, trials, plots, the server's fleet, and the past."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.cli_world import Cli
from update_server.cli.live_fleet import fleet_from
from update_server.cli.rehearsal_report import harm_name
from update_server.rehearsal.harm import Harm

LADDER = """
[[step]]
ring = "internal"
soak = "12 h"

[[step]]
ring = "half"
exposure_bp = 5000
soak = "24 h"
margin = 3
silence = 0.1

[[step]]
ring = "all"
exposure_bp = 10000
"""
FLEET = ("--fleet", "2000", "--gap", "6", "--crashes", "0.05", "--trial-fleet", "100")


@pytest.fixture
def alone(tmp_path: Path) -> Cli:
    """A folder without a workspace or a server."""
    (tmp_path / "ladder.toml").write_text(LADDER)
    return Cli(folder=tmp_path)


@pytest.mark.no_cover
def test_a_ladder_is_rehearsed_without_a_server(alone: Cli) -> None:
    done = alone.run("rehearse", *FLEET, "--plan", "ladder.toml", "--runs", "1")

    assert "2,000 installs (linux-x86_64 100 %; 20 internal)" in done.out
    for told in ("half 50%", "bricks all", "everybody has it after", "1 runs of 100", "seed 1"):
        assert told in done.out
    assert "One rollout of 2,000 installs, 5x crashes" in done.out
    assert "out of reach" not in done.out


@pytest.mark.no_cover
def test_the_same_seed_tells_the_same(alone: Cli) -> None:
    command = ("rehearse", *FLEET, "--plan", "ladder.toml", "--runs", "1", "--json")

    first, again = (alone.run(*command, "--seed", "4").document for _ in range(2))

    assert first == again
    assert first["seed"] == 4
    assert first["trials"][0]["runs"] == 1


@pytest.mark.no_cover
def test_a_gate_out_of_reach_is_told_with_what_would_help(alone: Cli) -> None:
    done = alone.run("rehearse", "--fleet", "20000", "--runs", "0", code=1)

    assert "out of reach: crash in all 98%" in done.out
    assert "margin = 1.5" in done.out


def test_a_fleet_that_is_too_small_is_told_so(alone: Cli) -> None:
    done = alone.run("rehearse", "--fleet", "15", "--runs", "0", code=1)

    assert "no single change of the ladder would do" in done.out
    assert "a person is asked after" in done.out


@pytest.mark.no_cover
def test_a_ratio_of_ones_own_is_rehearsed_and_told(alone: Cli) -> None:
    document = alone.run(
        "rehearse", *FLEET, "--plan", "ladder.toml", "--runs", "1", "--crash-ratio", "30", "--json"
    ).document  # fmt: skip

    assert 30 in [each["crash_ratio"] for each in document["cost"]]
    assert document["story"]["crash_ratio"] == 30
    assert document["story"]["moments"][-1]["verdict"] in {"pause", "pull"}


def test_plots_are_drawn(alone: Cli) -> None:
    done = alone.run(
        "rehearse", *FLEET, "--plan", "ladder.toml", "--runs", "1", "--plots", "plots"
    )  # fmt: skip

    names = {path.name for path in (alone.folder / "plots").iterdir()}
    assert names >= {"exposure.svg", "evidence-crash.svg", "time-to-stop.svg"}
    assert ET.parse(alone.folder / "plots" / "exposure.svg").getroot().tag.endswith("svg")
    assert f"wrote {len(names)} plots" in done.err


def test_without_runs_there_is_nothing_to_draw(alone: Cli) -> None:
    alone.run("rehearse", *FLEET, "--plan", "ladder.toml", "--runs", "0", "--plots", "plots")

    assert list((alone.folder / "plots").iterdir()) == []


def test_a_ladder_that_is_wrong_is_refused_with_its_line(alone: Cli) -> None:
    (alone.folder / "ladder.toml").write_text("alpha = 2\n")

    done = alone.run("rehearse", "--fleet", "100", "--plan", "ladder.toml", "--json", code=2)

    assert done.error == "bad_ladder"
    assert done.document["line"] == 1


def test_what_is_said_of_a_fleet_counts(alone: Cli) -> None:
    fleet = alone.run(
        "rehearse", "--fleet", "3000", "--plan", "ladder.toml", "--runs", "0", "--gap", "5",
        "--internal", "5", "--crashes", "0.02", "--json",
    ).document["fleet"]  # fmt: skip

    assert (fleet["median_gap_seconds"], fleet["internal"]) == (18_000, 5)
    assert fleet["crash_a_day"] == 0.02


def test_a_server_without_installs_has_no_fleet_to_rehearse_on(cli: Cli) -> None:
    assert cli.refused("rehearse", "--runs", "0", code=2) == "no_fleet"


def test_the_past_needs_a_plan(cli: Cli) -> None:
    assert cli.refused("rehearse", "--past", "1.0.0", code=2) == "no_plan"


def test_a_rollout_of_the_past_is_judged_anew(cli: Cli) -> None:
    cli.publish("1.0.0")
    cli.start("1.0.0")
    ladder = cli.folder / "ladder.toml"
    ladder.write_text("alpha = 0.05\n")

    document = cli.json("rehearse", "--past", "1.0.0", "--plan", str(ladder))
    shown = cli.run("rehearse", "--past", "1.0.0", "--plan", str(ladder))

    assert [each["metric"] for each in document["past"]] == [
        "crash", "crash_loop", "silence", "healthy_launch",
    ]  # fmt: skip
    assert document["past"][0]["reports"] == 0
    assert document["past"][0]["needed_now"] < document["past"][0]["needed_then"]
    assert "1.0.0 by the rules that it had, and by these" in shown.out


KNOWN: Mapping[str, Any] = {
    "installs": 90,
    "platforms": {"linux-x86_64": 30, "windows-x86_64": 60},
    "sampled": 80,
    "aged": 60,
    "gap_seconds": {"p10": 1_800.0, "p50": 3_600.0, "p90": 7_200.0},
    "check_ins_a_day": 24.0,
    "crash_a_day": 0.01,
    "install_days": 800.0,
}


def test_the_servers_fleet_is_as_it_is_known() -> None:
    fleet = fleet_from(KNOWN)

    assert fleet.platforms == (("linux-x86_64", 1 / 3), ("windows-x86_64", 2 / 3))
    assert (fleet.installs, fleet.aged_share, fleet.crash_a_day) == (90, 0.75, 0.01)
    assert fleet.median_gap_seconds == 3_600
    assert 0.5 < fleet.gap_spread < 0.6


def test_what_the_server_does_not_know_is_as_usual() -> None:
    unknown = {"sampled": 0, "aged": 0, "gap_seconds": None, "crash_a_day": None}

    fleet = fleet_from({**KNOWN, **unknown, "platforms": {}})

    assert (fleet.installs, fleet.crash_a_day) == (90, 0.005)
    assert fleet.platforms == (("linux-x86_64", 1.0),)


def test_a_fleet_that_never_crashed_is_taken_to_crash_hardly_ever() -> None:
    assert 0 < fleet_from({**KNOWN, "crash_a_day": 0.0}).crash_a_day < 0.001


def test_harms_have_names() -> None:
    assert harm_name(Harm(bricked_share=0.05)) == "bricks 5 %"
    assert harm_name(Harm(crash_ratio=1.5)) == "1.5x crashes"
