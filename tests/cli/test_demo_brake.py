"""The demo waits for the server's own decision, and tells what it says and what it cost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from tests.cli import demo_builders as builders
from tests.cli.demo_stage import (
    BAD,
    NEWER,
    SILENT,
    EmptyStage,
    a_cast,
    a_stage,
    after_each_command,
    put,
)
from update_server.cli.demo import ladder
from update_server.cli.demo.brake import Brake
from update_server.cli.demo.cast import find_cast
from update_server.cli.demo.rollouts import Rollouts
from update_server.cli.errors import CliError
from update_server.evidence.ladder import parse_terms

A_RECORD = {
    "verdict": "pause",
    "cause_metric": "crash",
    "sentence": "Paused 1.1.1.",
    "log_e_by_metric": {"crash": {"log_e": 6.25}},
    "guards": [{"name": "crashed", "log_e": 7.5}],
}


def a_brake(stage: EmptyStage) -> tuple[Brake, Rollouts]:
    rollouts = Rollouts(stage)
    return Brake(stage, rollouts), rollouts


def test_a_crashing_release_is_stopped_by_the_server_and_the_hurt_are_counted(
    tmp_path: Path,
) -> None:
    stage = a_stage(tmp_path)
    stage.stands, stage.record = iter(["active", "active", "paused"]), A_RECORD

    def crash(_: tuple[str, ...]) -> None:
        for install in stage.installs[:3]:
            builders.put_marker(install, "a", {"version": BAD}, {"signal": 4})

    ran = after_each_command(stage, crash)
    brake, _ = a_brake(stage)

    text = brake.crash(a_cast(tmp_path))

    assert text == "Paused 1.1.1. Installs that started it: 3 of 12"
    assert [command[:3] for command in ran] == [("rollout", "start", BAD)]  # nobody typed pause
    (stop,) = brake.stops
    assert (stop.metric, stop.log_e, stop.hurt) == ("crash", 6.25, 3)
    assert stop.document()["machines_hurt"] == 3


def test_a_stop_line_is_told_with_its_own_evidence(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.record = A_RECORD | {"cause_metric": "crashed"}
    after_each_command(stage, lambda _: None)
    brake, _ = a_brake(stage)

    brake.crash(a_cast(tmp_path))

    assert brake.stops[0].log_e == 7.5


def test_a_release_that_nobody_stops_ends_the_demo(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.stands = iter(["active"] * 10_000)
    after_each_command(stage, lambda _: None)
    brake, _ = a_brake(stage)

    with pytest.raises(CliError) as caught:
        brake.crash(a_cast(tmp_path))

    assert caught.value.code == "too_slow"
    assert not brake.stops


def test_a_stop_without_a_decision_is_not_the_servers(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    after_each_command(stage, lambda _: None)
    brake, _ = a_brake(stage)

    with pytest.raises(CliError) as caught:
        brake.crash(a_cast(tmp_path))

    assert caught.value.code == "not_judged"


def test_a_silent_release_costs_the_agents_that_it_killed(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.record = A_RECORD
    after_each_command(stage, lambda _: stage.lost.update({2, 5}))
    brake, _ = a_brake(stage)

    text = brake.silence(a_cast(tmp_path))

    assert text.endswith("Installs that started it: 2 of 12")


def test_what_the_server_has_pulled_already_is_not_pulled_again(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    ran = after_each_command(stage, lambda _: None)
    cast = a_cast(tmp_path)
    _, rollouts = a_brake(stage)
    rollouts.start(cast.silent)

    rollouts.pull(cast.silent, cast.newer)
    stage.stands = iter(["pulled"])
    rollouts.pull(cast.silent, cast.newer)

    assert [command[:3] for command in ran] == [
        ("rollout", "start", SILENT),
        ("rollout", "pull", SILENT),
    ]


def test_the_repair_starts_the_killed_agents_until_all_have_fallen_back(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, installs=3)
    cast = a_cast(tmp_path)
    after_each_command(stage, lambda _: None)
    for install in stage.installs:
        put(install, NEWER)
    stage.lost.update({1, 3})
    started: list[int] = []
    stage.start_agent = lambda install: started.append(install.number)  # type: ignore[method-assign]
    brake, rollouts = a_brake(stage)
    rollouts.start(cast.silent)

    text = brake.repair(cast)

    assert started == [1, 3]
    assert text == "2 agents were started again, and all installs are on 1.1.0"


def test_the_hurried_ladder_is_a_valid_one_whose_hour_is_many_check_ins() -> None:
    terms = parse_terms(ladder.hurried(check_in_seconds=3, offers_per_minute=60))

    assert terms.steps is not None
    assert [step.ring for step in terms.steps] == ["1%", "10%", "all"]
    assert terms.settings.silence_minimum_seconds / terms.settings.speed > 5 * 3
    assert terms.settings.offers_per_minute == 60
    assert parse_terms(ladder.BY_HAND).settings.speed == 1


def test_the_silent_program_kills_whoever_started_its_launcher(tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        path = tmp_path / version / "tool"
        path.parent.mkdir()
        path.write_bytes(builders.TRUE + version.encode())
        path.chmod(0o755)
    cast = find_cast(tmp_path, tmp_path / "made")
    launcher = f'import subprocess; subprocess.run(["{cast.silent.path}"])'
    agent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {launcher!r}])"

    done = subprocess.run(["python3", "-c", agent], check=False)

    assert done.returncode == -9
    assert cast.silent.version == Version("1.1.2")
