"""Where one process of the proof works: its folder, its publisher, and the installs it copies."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.crash.publisher import Publisher, a_publisher
from tests.crash.steps import Step, bases
from tests.crash.world import Here

STEPS = (
    "visit",
    "visit, synced at once",
    "visit without a delta",
    "start",
    "start and wait",
    "start after a power cut",
    "start again",
    "confirm",
    "fall back",
    "tell of it",
    "disarm",
    "recover",
    "first install",
)

_place = ""


def open_in(place: str) -> None:
    """Work below *place*; whoever made it removes it in the end."""
    global _place  # noqa: PLW0603 - one for each process, set as it starts
    _place = place
    folder.cache_clear()
    _steps.cache_clear()  # they lie in the folder of before


@contextmanager
def a_place() -> Iterator[str]:
    """Make a folder for all processes, in memory where there is such a place."""
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="serinus-crash-", dir=place) as made:
        yield os.path.realpath(made)


@cache
def folder() -> Path:
    """Return this process's own folder."""
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=_place))


@cache
def publisher() -> Publisher:
    """Return this process's own publisher, which ends with it."""
    serving = a_publisher()
    _serving.append(serving)
    return serving.__enter__()


_serving: list[object] = []  # what is collected ends


@cache
def _steps() -> dict[str, Step]:
    return {step.name: step for step in bases(publisher(), folder())}


def step(name: str) -> Step:
    """Return the step, with an install that is ready for it and must not be changed."""
    return _steps()[name]


@contextmanager
def copied(step: Step) -> Iterator[Here]:
    """Copy the step's install, and let the server be where the step needs it."""
    step.base.publisher.say(step.stage)
    to = folder() / "case"
    here = step.base.copied(to)
    try:
        yield here
    finally:
        shutil.rmtree(to)
