"""Each proof with something broken on purpose: if nothing is noticed, it proves nothing.

The controls of power cuts, which leave fsyncs out, are in ``power_cut``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from client_agent import launcher
from client_agent.launcher import Launcher
from client_agent.state import state_file as state
from client_agent.state.state_file import StateFile
from client_agent.versions.install import Installation
from tests.crash import damage, faults, starts
from tests.crash.lines import Job, Tally

PART = "control"


@dataclass(frozen=True, slots=True)
class Control:
    """*broken* replaces things of ours by what does less; *proof* must notice that."""

    name: str
    broken: tuple[tuple[Any, str, Any], ...]
    proof: Callable[[], Tally]


def _state_alone(root: str) -> dict[str, Any]:
    """Read the state as if there were nothing else to go by."""
    try:
        found: dict[str, Any] = json.loads(launcher.read(f"{root}/state.json"))["body"]
    except (OSError, ValueError, LookupError):
        return {"seq": 0, "current": None}
    return found


CONTROLS = (
    Control(
        "trials are not counted",
        ((Launcher, "write_state", lambda _self: True),),
        partial(faults.run, "start", ("killed",), 4),
    ),
    Control(
        "nothing is verified after a power cut",
        ((launcher, "check_tree", lambda *_given, **_named: None),),
        partial(damage.pending_rotten, 0),
    ),
    Control(
        "a state that is lost is lost",
        ((launcher, "read_state", _state_alone),),
        partial(damage.state_cut, 4),
    ),
    Control(
        "nothing is ever cleaned up",
        ((Installation, "collect_garbage", lambda *_given, **_named: 0),),
        partial(faults.run, "visit", ("killed",), 6),
    ),
    Control(
        "one try, and none is given back",
        ((launcher, "REFUNDS", 0), (launcher, "TRIES", 1), (state, "TRIES", 1)),
        partial(starts.good_versions, 500, 2),
    ),
    Control(
        "how a try ended is forgotten with its arming",
        ((StateFile, "_settled", lambda _self, pending: pending),),
        partial(starts.good_versions, 1_900, 3),
    ),
)
_CHEAP = 3  # of them


def jobs(sample: int) -> Iterator[Job]:
    """Yield a job for each control; *sample*: for the cheap ones, 0 for all."""
    for number, control in enumerate(CONTROLS[: _CHEAP if sample else None]):
        yield Job(PART, control.name, partial(run, number))


def run(number: int) -> Tally:
    """Break something; the fault is that nobody notices."""
    control = CONTROLS[number]
    with _broken(control):
        found = control.proof()
    missed = [] if found.faults or found.skipped else [f"{control.name}: not noticed"]
    return Tally(cases=len(found.faults), faults=missed, skipped=found.skipped)


@contextmanager
def _broken(control: Control) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in control.broken]
    try:
        for owner, name, value in control.broken:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
