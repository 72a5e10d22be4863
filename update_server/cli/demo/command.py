"""``serinus demo``: options in, the story told, one JSON document out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click

from update_server.cli.command import Session, local, option
from update_server.cli.demo.folder import demo_folder, disk_bytes
from update_server.cli.demo.people import People, nobody_looks, open_pages
from update_server.cli.demo.saving import Saving
from update_server.cli.demo.screen import Screen
from update_server.cli.demo.stage import Settings, Stage
from update_server.cli.demo.story import Story
from update_server.cli.errors import DONE, REFUSED, CliError
from update_server.clock import SystemClock

_INTERRUPTED = "interrupted"
_LAST_LINES = 5


@click.command()
@option("--speed", type=click.FloatRange(1, 1_000), default=100, show_default=True,
        help="How many times faster than in life agents check in.")  # fmt: skip
@option("--installs", type=click.IntRange(2, 400), default=40, show_default=True,
        help="How many installs there are.")  # fmt: skip
@option("--programs", type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Bring the program: DIR/<version>/<executable>, two versions.")  # fmt: skip
@option("--data", type=click.Path(path_type=Path, file_okay=False),
        help="Where the data goes; else a temporary folder.")  # fmt: skip
@option("--keep", is_flag=True, help="Leave the data there.")
@option("--headless", is_flag=True, help="No table, only lines.")
@local
def demo(
    session: Session,
    *,
    speed: float,
    installs: int,
    programs: Path | None,
    data: Path | None,
    keep: bool,
    headless: bool,
) -> int:
    """Tell the whole story on this machine, with real programs, servers and agents.

    Example: serinus demo --headless --json
    """
    if sys.platform != "linux":
        raise CliError("unsupported_platform", "the demo runs on Linux only")
    clock = SystemClock()
    screen = Screen(session.console, clock.monotonic)
    began = clock.monotonic()
    with demo_folder(data, keep=keep) as folder, _stoppable():
        screen.say(f"data in {folder}")
        settings = Settings(folder=folder, installs=installs, speed=speed)
        stage = Stage(settings, screen, clock)
        live = not headless and sys.stderr.isatty()
        story = Story(stage, programs, open_pages if live else nobody_looks)
        failure = _tell(session, story, stage, screen, live=live)
        if failure is not None:
            _explain(screen, failure, stage.server_log, keep=keep)
        document = _document(story, stage, failure) | {
            "seconds": round(clock.monotonic() - began, 1),
            "disk_bytes": disk_bytes(folder),
            "kept": keep,
        }
    session.console.document(document)
    if failure is not None:
        return REFUSED
    session.console.print(_summary(document, story.saving))
    if keep:
        config = stage.publisher.workspace / "serinus.toml"
        screen.say(f"look around: serinus serve --config {config}")
        if stage.people is not None:
            screen.say(f"and then {stage.people.sentence()}")
    return DONE


def _tell(
    session: Session, story: Story, stage: Stage, screen: Screen, *, live: bool
) -> CliError | None:
    """Tell the story and stop everything, whatever happens; return what went wrong."""
    try:
        with screen.open(live=live):
            story.tell()
        if live and stage.people is not None and session.console.interactive:
            _linger(session, stage.people)
    except CliError as error:
        return error
    except KeyboardInterrupt:
        return CliError(_INTERRUPTED, "interrupted")
    finally:
        # From here on nothing may interrupt: what was started must be stopped.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stage.strike()
    return None


def _linger(session: Session, people: People) -> None:
    """Leave the pages open until whoever runs the demo has seen enough."""
    session.console.say(f"the pages are still open: {people.sentence()}")
    with suppress(KeyboardInterrupt):  # here it is no complaint
        session.console.ask("press Enter to end the demo", instead="--headless")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let every way of asking the demo to stop be one: an interrupt, answered in order."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _explain(screen: Screen, failure: CliError, server_log: Path, *, keep: bool) -> None:
    """Say what failed, and what the server said last."""
    screen.say(f"the demo failed: {failure.detail}")
    if failure.code == _INTERRUPTED:
        return
    if server_log.exists():
        words = server_log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in words[-_LAST_LINES:]:
            screen.say(f"  the server said: {line}")
    if not keep:
        screen.say("try again with --keep, to look at what it leaves")


def _document(story: Story, stage: Stage, failure: CliError | None) -> dict[str, Any]:
    """Return the demo's JSON document. What was not found out is null, never zero."""
    found = story.verdict
    document: dict[str, Any] = {
        "steps": [step.document() for step in story.steps],
        "installs": dict(found.installs) if found else None,
        "delta": story.saving.document() if story.saving else None,
        "stopped": [stop.document() for stop in story.brake.stops],
        "offered_after_pull": story.offered_after_pull,
        "unverified_files_executed": found.unverified_files_executed if found else None,
        "ok": failure is None,
        "problems": list(found.problems) if found else [],
        "server": {"public": stage.public_url, "admin": stage.admin_url},
        "pages": stage.people.document() if stage.people else None,
        "data": str(stage.settings.folder),
    }
    if failure is not None:
        document["error"] = failure.problem()
    return document


def _summary(document: dict[str, Any], saving: Saving | None) -> str:
    saved = f"deltas: {saving.sentence()}; " if saving else ""
    on = ", ".join(f"{count} on {version}" for version, count in document["installs"].items())
    stops = "".join(
        f"; {stop['version']} stopped by the server ({stop['metric']},"
        f" {stop['machines_hurt']} installs hurt)"
        for stop in document["stopped"]
    )
    return (
        f"ok: {on}{stops}; {saved}offered after the pull: {document['offered_after_pull']};"
        f" unverified files executed: {document['unverified_files_executed']};"
        f" {document['seconds']:.0f} s, {document['disk_bytes'] / 1e6:.0f} MB of disk"
    )
