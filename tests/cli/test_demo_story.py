"""The story notices when an act does not end as it must. How it ends well: ``test_demo.py``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.cli import demo_builders as builders
from tests.cli.demo_stage import (
    BAD,
    NEWER,
    OLDER,
    EmptyStage,
    a_cast,
    a_program,
    a_stage,
    after_each_command,
    put,
)
from update_server.cli.demo import ladder
from update_server.cli.demo.fleet import InstallFolder, Launch
from update_server.cli.demo.saving import Saving
from update_server.cli.demo.stage import Settings, Stage
from update_server.cli.demo.story import Story
from update_server.cli.errors import CliError


def ring_of(stage: Stage, install: InstallFolder) -> str:
    stage.follow(builders.signed(NEWER)[Version(NEWER)])
    return stage.ring(install, install.look())


def test_a_ring_is_done_when_just_its_installs_have_the_release(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)

    def update(_: tuple[str, ...]) -> None:
        for install in stage.installs:
            if ring_of(stage, install) in {"internal", "1%"}:
                put(install, NEWER)

    ran = after_each_command(stage, update)

    text = Story(stage, None)._open(a_program(tmp_path, NEWER), "1%")

    inside = sum(ring_of(stage, install) in {"internal", "1%"} for install in stage.installs)
    assert text == f"{inside} of 12 installs run 1.1.0"
    assert 1 < inside < 12
    assert ran == [("rollout", "promote", NEWER, "--yes")]


@pytest.mark.parametrize("how", ["current", "pending"])
def test_an_install_that_is_too_early_ends_the_demo(tmp_path: Path, how: str) -> None:
    stage = a_stage(tmp_path)

    def update(_: tuple[str, ...]) -> None:
        for install in stage.installs:
            if ring_of(stage, install) == "internal":
                put(install, NEWER)
        outside = next(each for each in stage.installs if ring_of(stage, each) == "all")
        if how == "current":
            put(outside, NEWER)
        else:
            put(outside, OLDER, pending=NEWER)

    after_each_command(stage, update)

    with pytest.raises(CliError) as caught:
        Story(stage, None)._open(a_program(tmp_path, NEWER), ladder.INTERNAL)

    assert caught.value.code == "wrong_ring"


def test_a_ring_that_does_not_fill_ends_the_demo(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, installs=2)
    after_each_command(stage, lambda _: None)

    with pytest.raises(CliError) as caught:
        Story(stage, None)._open(a_program(tmp_path, NEWER), ladder.INTERNAL)

    assert caught.value.code == "too_slow"


def taken_by_all(stage: Stage, **taken: Any) -> None:
    for install in stage.installs:
        builders.put_taken(install, NEWER, **taken)


def test_what_a_delta_saved_is_told(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    taken_by_all(stage, received_bytes=200_000, full_bytes=4_000_000)
    story = Story(stage, None)

    text = story._count_bytes(a_program(tmp_path, NEWER))

    assert text == ("12 of 12 installs took the delta: 2.4 MB came instead of 48.0 MB, 95 % less")
    assert story.saving == Saving(installs=12, sent_bytes=2_400_000, full_bytes=48_000_000)


def test_brought_programs_with_a_delta_that_nobody_took_end_the_demo(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.deltas = (builders.a_delta(OLDER, NEWER),)
    taken_by_all(stage, delta=False)

    with pytest.raises(CliError) as caught:
        Story(stage, Path("programs"))._count_bytes(a_program(tmp_path, NEWER))

    assert caught.value.code == "no_delta"


def test_programs_that_a_person_brings_may_have_no_delta(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    taken_by_all(stage, delta=False)

    text = Story(stage, Path("programs"))._count_bytes(a_program(tmp_path, NEWER))

    assert text == "no delta to 1.1.0 was worth publishing"


def test_without_any_delta_the_demos_own_programs_end_it(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    taken_by_all(stage, delta=False)

    with pytest.raises(CliError):
        Story(stage, None)._count_bytes(a_program(tmp_path, NEWER))


def test_a_crash_is_over_when_the_internal_installs_fell_back_by_themselves(
    tmp_path: Path,
) -> None:
    stage = a_stage(tmp_path)

    def crash(_: tuple[str, ...]) -> None:
        for install in stage.installs:
            put(install, NEWER, banned=(BAD,) if install.internal else ())
        builders.put_marker(stage.installs[0], "a", {"version": BAD}, {"signal": 4})

    after_each_command(stage, crash)

    text = Story(stage, None)._crash(a_cast(tmp_path))

    assert text.endswith("barred it: 1; deaths by signal that were seen: 1")


def test_a_pull_waits_for_the_reports_of_all_offers(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    ran = after_each_command(stage, lambda _: None)
    stage.counts = iter([0, 0, 1])
    story = Story(stage, None)
    story._rollouts.start(a_cast(tmp_path).bad)

    story._pull(a_cast(tmp_path))

    assert ran[-1][:5] == ("rollout", "pull", BAD, "--replacement", NEWER)
    assert not list(stage.counts)


def after_pull(stage: EmptyStage, tmp_path: Path) -> Story:
    for install in stage.installs:
        builders.put_status(install, stage.clock.now() + timedelta(seconds=1))
    after_each_command(stage, lambda _: None)
    story = Story(stage, None)
    story._rollouts.start(a_cast(tmp_path).bad)
    return story


def test_after_a_pull_nobody_is_offered_the_release(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.offers, stage.counts = NEWER, iter([4, 4])
    story = after_pull(stage, tmp_path)

    text = story._after_pull(a_cast(tmp_path))

    assert story.offered_after_pull == 0
    assert text.endswith("12 more check-ins were answered, none with 1.1.1")


def test_after_a_pull_every_agent_must_have_checked_in(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, installs=2)
    stage.counts = iter([4, 4])
    story = after_pull(stage, tmp_path)
    builders.put_status(stage.installs[1], stage.clock.now())

    with pytest.raises(CliError) as caught:
        story._after_pull(a_cast(tmp_path))

    assert caught.value.code == "too_slow"
    assert story.offered_after_pull is None


@pytest.mark.parametrize(("offers", "counts"), [(BAD, [4, 4]), (None, [4, 5])])
def test_one_offer_after_the_pull_ends_the_demo(
    tmp_path: Path, offers: str | None, counts: list[int]
) -> None:
    stage = a_stage(tmp_path)
    stage.offers, stage.counts = offers, iter(counts)
    story = after_pull(stage, tmp_path)

    with pytest.raises(CliError) as caught:
        story._after_pull(a_cast(tmp_path))

    assert caught.value.code == "offered"
    assert story.offered_after_pull


def test_a_start_after_the_pull_is_an_offer_too(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    stage.counts = iter([4, 4])
    story = after_pull(stage, tmp_path)
    builders.put_marker(stage.installs[0], "a", {"version": BAD})

    with pytest.raises(CliError) as caught:
        story._after_pull(a_cast(tmp_path))

    assert caught.value.code == "offered"
    assert story.offered_after_pull == 1


def test_patience_grows_with_the_fleet_and_with_slow_time(tmp_path: Path) -> None:
    def patience(**changes: Any) -> float:
        values = {"folder": tmp_path, "installs": 40, "speed": 100, **changes}
        return Settings(**values).patience_seconds

    assert patience() < 150
    assert patience(installs=400) > 400
    assert patience(speed=1) > 600 + 330


def all_on_newer(stage: Stage) -> None:
    for install in stage.installs:
        put(install, NEWER, previous=OLDER)


def test_the_verdict_is_good_when_every_folder_is(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    all_on_newer(stage)
    story = Story(stage, None)

    story._judge(a_cast(tmp_path))

    assert story.verdict is not None
    assert story.verdict.installs == {NEWER: 12}


def test_one_bad_folder_ends_the_demo_with_a_bad_verdict(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    all_on_newer(stage)
    stage.witnessed[3] = {Launch(launch_id="a", version="6.6.6")}
    story = Story(stage, None)

    with pytest.raises(CliError) as caught:
        story._judge(a_cast(tmp_path))

    assert caught.value.code == "bad_verdict"
    assert story.verdict is not None
    assert story.verdict.unverified_files_executed == 1


def test_a_release_that_is_not_signed_ends_the_demo(tmp_path: Path) -> None:
    stage = a_stage(tmp_path)
    after_each_command(stage, lambda _: None)

    with pytest.raises(CliError) as caught:
        Story(stage, None)._publish(a_program(tmp_path, "6.6.6"))

    assert caught.value.code == "not_signed"
