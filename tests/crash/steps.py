"""The steps of an update, each with an install that is ready for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from client_agent.versions import tree_writer
from client_agent.versions.install import Installation
from tests.agent.trees import install
from tests.crash.publisher import NEW, OFFERED, PULLED, REISSUED, Publisher
from tests.crash.traced import fork
from tests.crash.world import Here, must_do


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that is done to an install in *base*; the server's *stage*, then and after."""

    name: str
    base: Here
    work: Callable[[Here], int | None]
    stage: str = OFFERED
    after: str = OFFERED
    starts: frozenset[str | None] = frozenset({"1.0", NEW})


def _visit_with_many_files(here: Here) -> None:
    """Take every tree for a large one: its files reach the medium by one call."""
    tree_writer.MANY_FILES = 1
    here.visit("1.0")


def bases(publisher: Publisher, folder: Path) -> Iterator[Step]:
    """Yield every step of an update, each with an install that is ready for it."""
    here = Here(root=folder / "visit", publisher=publisher)
    Installation.create_root(here.root)
    for version in ("0.9", "1.0"):
        install(here.installation(), publisher.packed[version])
    here.installation().state.clear_last_result()
    publisher.say(OFFERED)
    yield Step(name="visit", base=here, work=lambda here: here.visit("1.0"))
    at_once = here.copied(folder / "visit, synced at once")
    yield Step(name="visit, synced at once", base=at_once, work=_visit_with_many_files)
    older = Here(root=folder / "visit without a delta", publisher=publisher)
    Installation.create_root(older.root)
    install(older.installation(), publisher.packed["0.9"])
    yield Step(
        name="visit without a delta",
        base=older,
        work=lambda here: here.visit("0.9"),
        starts=frozenset({"0.9", NEW}),
    )
    armed = here.copied(folder / "start")
    must_do(fork(lambda: armed.visit("1.0")), "a visit")
    yield Step(name="start", base=armed, work=lambda here: here.start())
    waiting = armed.copied(folder / "start and wait")
    yield Step(name="start and wait", base=waiting, work=lambda here: here.start(wait=True))
    pulled = armed.copied(folder / "disarm").later(timedelta(hours=2))
    yield Step(
        name="disarm",
        base=pulled,
        work=lambda here: here.visit("1.0"),
        stage=PULLED,
        after=REISSUED,
    )
    trial = armed.copied(folder / "confirm")
    fork(trial.start)
    yield Step(name="confirm", base=trial, work=lambda here: here.confirm())
    again = trial.copied(folder / "start again")
    yield Step(name="start again", base=again, work=lambda here: here.start(), after=REISSUED)
    failed = trial.copied(folder / "fall back")
    for _ in range(2):
        fork(failed.start)
    yield Step(
        name="fall back",
        base=failed,
        work=lambda here: here.start(),
        after=REISSUED,
        starts=frozenset({"1.0"}),
    )
    fallen = failed.copied(folder / "tell of it")
    fork(fallen.start)
    yield Step(
        name="tell of it",
        base=fallen,
        work=lambda here: here.visit("1.0"),
        after=REISSUED,
        starts=frozenset({"1.0"}),
    )
    # After a power cut the launcher reads every byte, and writes that it did.
    rebooted = replace(armed.copied(folder / "start after a power cut"), boot="second")
    yield Step(name="start after a power cut", base=rebooted, work=lambda here: here.start())
    torn = armed.copied(folder / "recover")
    for name in ("state.json", "state.last"):
        (torn.root / name).write_bytes(b"{")
    yield Step(name="recover", base=torn, work=lambda here: here.visit("1.0"))
    empty = Here(root=folder / "first install", publisher=publisher)
    empty.root.mkdir()
    yield Step(
        name="first install",
        base=empty,
        work=lambda here: here.visit(),
        starts=frozenset({None, NEW}),
    )
