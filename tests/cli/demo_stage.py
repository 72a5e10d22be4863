"""A stage of the demo without processes: what is typed is noted, and a test moves the installs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from rollout.model import Delta, Release
from tests.cli import demo_builders as builders
from tests.fakes import FakeClock
from update_server.cli.console import Console
from update_server.cli.demo.cast import Cast
from update_server.cli.demo.fleet import InstallFolder
from update_server.cli.demo.programs import Program, run
from update_server.cli.demo.roads import Observer, Outsider, Publisher
from update_server.cli.demo.screen import Screen
from update_server.cli.demo.stage import Settings, Stage

OLDER, NEWER, BAD, SILENT = "1.0.0", "1.1.0", "1.1.1", "1.1.2"


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
        self.stands: Iterator[str] = itertools.repeat("paused")
        self.record: dict[str, Any] | None = None

    def knows_installs_on(self, version: Version) -> bool:
        return str(version) == OLDER

    def state(self, rollout_id: str) -> str:
        assert rollout_id == "ro_7k2m"
        return next(self.stands)

    def stop(self, rollout_id: str) -> dict[str, Any] | None:
        assert rollout_id == "ro_7k2m"
        return self.record

    def reached(self, rollout_id: str, phase: str) -> int:
        assert (rollout_id, phase) == ("ro_7k2m", "offered")
        return next(self._counts)


class EmptyStage(Stage):
    """A stage without processes, whose installs a test moves itself."""

    offers: str | None = None
    counts: Iterator[int] = iter(())
    stands: Iterator[str] = itertools.repeat("paused")
    record: dict[str, Any] | None = None
    deltas: tuple[Delta, ...] = ()

    def signed(self, versions: Iterable[Version]) -> Mapping[Version, Release]:
        found = builders.signed(OLDER, NEWER, BAD, SILENT)
        return {
            version: replace(found[version], deltas=self.deltas)
            for version in versions
            if version in found
        }

    def outsider(self) -> Outsider:
        return ScriptedOutsider(self.offers)

    def observer(self) -> Observer:
        observer = ScriptedObserver(self.counts)
        observer.stands, observer.record = self.stands, self.record
        return observer


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
    older, newer, bad, silent = (
        a_program(tmp_path / "programs", text) for text in (OLDER, NEWER, BAD, SILENT)
    )
    return Cast(older=older, newer=newer, bad=bad, dies_by="SIGILL", silent=silent)
