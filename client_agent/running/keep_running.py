"""The loop again after a fault of ours: less service, never an exception in the app."""

from __future__ import annotations

from collections.abc import Callable

from client_agent.network.download import Stopped
from client_agent.running.loop import Loop
from client_agent.schedule import DEFAULT_PERIOD_SECONDS

GOOD_RUN_SECONDS = 3_600.0
"""A fault of ours after a run of so long is the first of its row."""


def keep_running(loop: Loop, run: Callable[[], None]) -> None:
    """Run *run* until the loop ends; after a fault of ours wait and run it again.

    It waits as it does for a server that cannot be reached: ever longer, up to an hour, and not
    at the same time as others.
    """
    clock, schedule = loop.parts.clock, loop.parts.schedule
    faults = 0
    while True:
        began = clock.monotonic()
        try:
            run()
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - the app must not notice
            note_fault(loop, error)
        faults = 1 if clock.monotonic() - began > GOOD_RUN_SECONDS else faults + 1
        pause = schedule.failure(loop.parts.chance.share(), DEFAULT_PERIOD_SECONDS, faults)
        if loop.stop.is_set() or clock.wait(loop.stop, pause):
            return


def note_fault(loop: Loop, error: BaseException) -> None:
    """Report a fault of ours; if even that fails, there is nobody left to tell."""
    try:
        loop.performer.crashed(error)
    except Exception:  # noqa: BLE001 - see above
        return
