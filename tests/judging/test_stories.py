"""The judge over real HTTP, real processes and a real database, with a small fleet.

A sample: all stories, and at their full size, are told by ``make judge-e2e``. What planted installs
can do is tried without processes too (``tests/evidence/test_tamper.py``, ``tests/service``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging import stories
from tests.judging.stories import Size
from tests.judging.world import a_world

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("judging"), pytest.mark.timeout(300)]

SMALL = Size(installs=300, seconds=4, patience=90)


def test_a_release_that_bricks_is_pulled_without_a_crash_report(
    published: Path, tmp_path: Path
) -> None:
    with a_world(published, tmp_path / "updates") as world:
        stories.brick(world, SMALL)


def test_a_controller_that_is_killed_decides_the_same(published: Path, tmp_path: Path) -> None:
    with a_world(published, tmp_path / "updates") as world:
        stories.killed_controller(world, SMALL, tmp_path, kills=1)
