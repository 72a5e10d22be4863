from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import RolloutId
from update_server.service.crashes.placed import cell_of
from update_server.service.ports.crashes import UNPUBLISHED, Cell, Standing

NEW = Standing(
    rollout=RolloutId("ro_new0"),
    channel="stable",
    version=Version("2.1.0"),
    live=True,
    ring="1%",
    arm="control",
)
OLD = replace(
    NEW,
    rollout=RolloutId("ro_old0"),
    version=Version("2.0.0"),
    live=False,
    ring="all",
    arm="candidate",
)


def cell(standing: Standing) -> Cell:
    return Cell(rollout=standing.rollout, ring=standing.ring, arm=standing.arm)


def ended(standing: Standing, **changes: Any) -> Standing:
    return replace(standing, live=False, **changes)


@pytest.mark.parametrize("version", ["2.1.0", "2.1"])
def test_a_report_on_a_version_counts_in_its_rollout(version: str) -> None:
    newer = replace(NEW, rollout=RolloutId("ro_next"), version=Version("2.2.0"))

    assert cell_of([newer, NEW, OLD], version, "stable") == cell(NEW)


@pytest.mark.parametrize("version", ["2.0.0", "1.9.0", UNPUBLISHED])
def test_a_report_on_another_version_counts_in_the_newest_live_rollout(version: str) -> None:
    assert cell_of([NEW, OLD], version, "stable") == cell(NEW)
    assert cell_of([NEW, OLD], version, None) == cell(NEW)


def test_where_none_is_live_the_newest_of_the_version_counts() -> None:
    older = replace(OLD, rollout=RolloutId("ro_older"))

    assert cell_of([ended(NEW), OLD, older], "2.0.0", "stable") == cell(OLD)


@pytest.mark.parametrize(
    ("standings", "version"),
    [([], "2.0.0"), ([ended(NEW), OLD], "1.9.0"), ([ended(NEW), OLD], UNPUBLISHED)],
)
def test_an_install_may_stand_nowhere(standings: list[Standing], version: str) -> None:
    assert cell_of(standings, version, "stable") == Cell()


def test_rollouts_of_other_channels_do_not_count() -> None:
    assert cell_of([replace(NEW, channel="beta"), OLD], "2.0.0", "stable") == cell(OLD)
