"""The stories with 2,000 installs: ``make judge-e2e``. Not collected with the other tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging import stories
from tests.judging.stories import Size
from tests.judging.world import a_world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FULL = Size(installs=2_000, seconds=20, patience=400)


@pytest.mark.parametrize("kill", [False, True], ids=["judged", "judge killed"])
def test_a_release_that_crashes_five_times_as_often_is_paused(
    published: Path, tmp_path: Path, *, kill: bool
) -> None:
    with a_world(published, tmp_path / "updates", workers=2) as world:
        stories.regression(world, FULL, kill=kill)


def test_a_release_that_changes_nothing_opens_to_all(published: Path, tmp_path: Path) -> None:
    with a_world(published, tmp_path / "updates", workers=2) as world:
        stories.no_regression(world, FULL)


def test_a_brick_is_pulled_within_a_hundred_installs(published: Path, tmp_path: Path) -> None:
    # Some eight a second: when the first outcomes are known, few have asked.
    with a_world(published, tmp_path / "updates", workers=2) as world:
        stories.brick(world, FULL, arrive_within=260)


def test_one_broken_platform_is_kept_back(published: Path, tmp_path: Path) -> None:
    with a_world(published, tmp_path / "updates", workers=2) as world:
        stories.one_platform(world, FULL)


def test_a_controller_that_is_killed_decides_the_same(published: Path, tmp_path: Path) -> None:
    with a_world(published, tmp_path / "updates", workers=2) as world:
        stories.killed_controller(world, FULL, tmp_path, kills=2)


def test_five_hundred_forged_reports_change_nothing(opened: Path, tmp_path: Path) -> None:
    with a_world(opened, tmp_path / "updates", workers=2) as world:
        stories.forged_by_newcomers(world, FULL)


@pytest.mark.parametrize("by_silence", [False, True], ids=["crashes", "silence"])
def test_planted_installs_on_three_networks_never_pull(
    opened: Path, tmp_path: Path, *, by_silence: bool
) -> None:
    with a_world(opened, tmp_path / "updates", workers=2) as world:
        stories.forged_by_planted(world, FULL, by_silence=by_silence)
