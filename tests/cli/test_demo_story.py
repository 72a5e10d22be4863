"""The story notices when an act does not end as it must. How it ends well: ``test_demo.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Release
from tests.cli import demo_builders as builders
from tests.fakes import FakeClock
from update_server.cli.console import Console
from update_server.cli.demo import ladder
from update_server.cli.demo.cast import Cast
from update_server.cli.demo.fleet import InstallFolder, Launch
from update_server.cli.demo.programs import Program, run
from update_server.cli.demo.roads import Observer, Outsider, Publisher
from update_server.cli.demo.screen import Screen
from update_server.cli.demo.stage import Settings, Stage
from update_server.cli.demo.story import Story
from update_server.cli.errors import CliError

OLDER, NEWER, BAD = "1.0.0", "1.1.0", "1.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedPublisher(Publisher):
    """Notes commands instead of running them, and does something to the installs after each."""

    ran: list[tuple[str, ...]] = field(default_factory=list)
    then: Callable[[tuple[str, ...]], None] = lambda _: None

    def run(self, *arguments: str) -> dict[str, Any]:
        self.ran.append(arguments)
        self.then(arguments)
        return {"id": "ro_7k2m"}


class ScriptedOutsider(Outsider):
    def __init__(self, offers: str | None) -> None:
        super().__init__("http://127.0.0.1:1", "demo")
        self._offers = offers

    def check_in(self, request: Mapping[str, Any]) -> str | None:
        assert request["install_id"]
        return self._offers


class ScriptedObserver(Observer):
    def __init__(self, counts: Iterator[int]) -> None:
        super().__init__("http://127.0.0.1:1", "srn_x", "demo")
        self._counts = counts

    def reached(self, rollout_id: str, phase: str) -> int:
        assert (rollout_id, phase) == ("ro_7k2m", "offered")
        return next(self._counts)


class EmptyStage(Stage):
    """A stage without processes, whose installs a test moves itself."""

    offers: str | None = None
    counts: Iterator[int] = iter(())

    def signed(self, versions: Iterable[Version]) -> Mapping[Version, Release]:
        found = builders.signed(OLDER, NEWER, BAD)
        return {version: found[version] for version in versions if version in found}

    def outsider(self) -> Outsider:
        return ScriptedOutsider(self.offers)

    def observer(self) -> Observer:
        return ScriptedObserver(self.counts)


def a_stage(tmp_path: Path, *, installs: int = 12) -> EmptyStage:
    clock = FakeClock()
    settings = Settings(folder=tmp_path, installs=installs, speed=100)
    stage = EmptyStage(settings, Screen(Console(), clock.monotonic), clock)
    stage.installs = tuple(
        builders.an_install(tmp_path / "installs", number=number, internal=number == 1)
        for number in range(1, installs + 1)
    )
    for install in stage.installs:
        install_id = f"2f1c9a54-7b0e-4d3c-9a61-{install.number:012x}"
        (install.root / "identity.json").write_text(f'{{"install_id": "{install_id}"}}')
        put(install, OLDER)
    return stage


def put(install: InstallFolder, version: str, **state: Any) -> None:
    if not list((install.root / "versions").glob(f"{version}-*")):
        builders.put_version(install, version)
    builders.put_state(install, current=version, **state)


def after_each_command(stage: Stage, then: Callable[[tuple[str, ...]], None]) -> list[Any]:
    publisher = ScriptedPublisher(
        workspace=stage.publisher.workspace,
        passphrase=stage.publisher.passphrase,
        scratch=stage.publisher.scratch,
        idle=stage.glance,
        then=then,
    )
    stage.publisher = publisher
    return publisher.ran


def a_program(folder: Path, version: str) -> Program:
    path = folder / version / "tool"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(builders.an_edition(version)[0]["bin/tool"][1])
    path.chmod(0o755)
    return Program(version=Version(version), path=path, says=run(path, "--version").output)


def a_cast(tmp_path: Path) -> Cast:
    older, newer, bad = (a_program(tmp_path / "programs", text) for text in (OLDER, NEWER, BAD))
    return Cast(older=older, newer=newer, bad=bad, dies_by="SIGILL")


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
    story._start(a_cast(tmp_path).bad)

    story._pull(a_cast(tmp_path))

    assert ran[-1][:5] == ("rollout", "pull", BAD, "--replacement", NEWER)
    assert not list(stage.counts)


def after_pull(stage: EmptyStage, tmp_path: Path) -> Story:
    for install in stage.installs:
        builders.put_status(install, stage.clock.now() + timedelta(seconds=1))
    after_each_command(stage, lambda _: None)
    story = Story(stage, None)
    story._start(a_cast(tmp_path).bad)
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
