"""The ``serinus-agent`` command, for apps in any language and for people.

Terminal rules: answers on stdout, everything else on stderr; ``--json`` prints one document on
stdout and nothing else there, failures included. Exit codes: 0 done, 1 refused or failed (another
agent at work is that), 2 usage, 3 nothing to do; ``run`` and ``launch`` return the app's own.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, UnionType
from typing import Any

from tuf.api.exceptions import DownloadError, RepositoryError

from client_agent.commands import conformance
from client_agent.commands.enrol import enrol
from client_agent.commands.report import report_crash, report_healthy, report_metric
from client_agent.commands.supervise import Supervisor, Wanted, app_environment
from client_agent.config import Apply, ConfirmBy, Settings
from client_agent.errors import AgentError, Code, ConfigError, PolicyError, StateError
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Idle, Passive, Staged, Trial
from client_agent.network.download import Stopped
from client_agent.network.transport import USER_AGENT
from client_agent.reports.reporter import zulu
from client_agent.running.loop import Loop
from client_agent.running.parts import Hooks, assemble
from client_agent.running.status import describe, render_assignment, tell
from client_agent.settings_file import load

DONE, FAILED, USAGE, NOTHING = 0, 1, 2, 3
_SEPARATOR = "--"

Answer = tuple[int, dict[str, Any]]
Arguments = list[str] | None
"""What follows ``--``: the app's arguments. None without a ``--``."""

Command = Callable[[argparse.Namespace, Arguments], Answer]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv* and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    rest: list[str] | None = None
    if _SEPARATOR in words:
        at = words.index(_SEPARATOR)
        words, rest = words[:at], words[at + 1 :]
    try:
        options = _parser().parse_args(words)
    except SystemExit as ended:  # argparse said what is wrong; --help is no error
        return DONE if ended.code in {None, 0} else USAGE
    try:
        code, answer = COMMANDS[options.command](options, rest)
    except ConfigError as error:
        code, answer = USAGE, _problem(error)
    except AgentError as error:
        code, answer = FAILED, _problem(error)
    except OSError as error:
        code, answer = FAILED, _io_problem(_told(error))
    except (RepositoryError, DownloadError) as error:
        code, answer = FAILED, _io_problem(str(error))
    except (KeyboardInterrupt, Stopped):
        code, answer = FAILED, {"error": {"category": "agent", "code": "interrupted"}}
    _print(options, code, answer)
    return code


# --- the commands ------------------------------------------------------------------------


def _run(options: argparse.Namespace, rest: Arguments) -> Answer:
    settings = load(options.config, confirm=ConfirmBy.UPTIME)
    wanted = Wanted()
    hooks = Hooks(on_restart_wanted=wanted.note, on_progress=wanted.progress)
    loop = Loop(assemble(settings, hooks=hooks))
    supervisor = Supervisor(loop, wanted, _say)

    def ended(_number: int, _frame: FrameType | None) -> None:
        # Not here: what the signal interrupts may hold the lock of the event that ends the loop.
        threading.Thread(target=loop.end, daemon=True).start()

    for name in {"SIGTERM", "SIGINT", "SIGHUP"} & set(dir(signal)):
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, ended)
    if rest is not None:
        return supervisor.run_app(rest), {}
    supervisor.run_alone()
    return DONE, {}


def _launch(options: argparse.Namespace, rest: Arguments) -> Answer:
    parts = assemble(load(options.config))
    command = parts.installation.launcher_command(rest or [])
    if not parts.installation.has_launcher():
        raise StateError(Code.LOST, "nothing is installed here yet: run serinus-agent check")
    return parts.platform.start(command, app_environment(parts)), {}


def _check(options: argparse.Namespace, _: Arguments) -> Answer:
    loop = _visit(load(options.config), scheduled=options.scheduled)
    return _outcome(loop, refused_if=Idle)


def _apply(options: argparse.Namespace, _: Arguments) -> Answer:
    loop = _visit(load(options.config), apply=Apply.ON_QUIT, force=options.force)
    return _outcome(loop, refused_if=Idle | Staged)


def _report(options: argparse.Namespace, _: Arguments) -> Answer:
    loop = _begun(load(options.config))
    if options.healthy:
        confirmed = report_healthy(loop.parts)
        return (NOTHING if "seconds_left" in confirmed else DONE), confirmed
    if options.metric:
        return DONE, report_metric(loop, options.metric)
    if options.crash:
        return DONE, report_crash(loop, options.crash)
    if options.forget:
        loop.wishes.be_forgotten()
    with loop.parts.installation.lock():
        loop.visits.report(loop.performer.running())
    loop.visits.end()
    return DONE, {"waiting_bytes": loop.parts.spool.waiting()}


def _status(options: argparse.Namespace, _: Arguments) -> Answer:
    parts = assemble(load(options.config))
    return DONE, describe(parts.installation, parts.spool)


def _enrol(options: argparse.Namespace, _: Arguments) -> Answer:
    loop = _begun(load(options.config))
    if options.reset:
        with loop.parts.installation.lock():  # nobody may be talking as who we were
            return DONE, {"install_id": loop.wishes.reset_identity().install_id}
    group = enrol(loop.parts, loop.identity, options.code)
    return DONE, {"group": group, "install_id": loop.identity.install_id}


def _conformance(options: argparse.Namespace, _: Arguments) -> Answer:
    folder = Path(options.metadata_dir)
    if options.verb == "init":
        conformance.init(folder, Path(options.root))
    elif options.verb == "refresh":
        conformance.run_refresh(folder, options.metadata_url)
    else:
        conformance.run_download(
            folder,
            options.metadata_url,
            options.target_name,
            options.target_base_url,
            Path(options.target_dir),
        )
    return DONE, {}


COMMANDS: dict[str, Command] = {
    "run": _run,
    "check": _check,
    "apply": _apply,
    "launch": _launch,
    "report": _report,
    "status": _status,
    "enrol": _enrol,
    "tuf-conformance": _conformance,
}


# --- parts of them -----------------------------------------------------------------------


def _begun(settings: Settings) -> Loop:
    loop = Loop(assemble(settings))
    loop.begin()
    if isinstance(loop.state, Passive):
        raise loop.trouble or loop.performer.busy or StateError(Code.BUSY)
    return loop


def _visit(
    settings: Settings, *, scheduled: bool = True, apply: Apply | None = None, force: bool = False
) -> Loop:
    loop = _begun(settings)
    loop.performer.asking.apply = apply or settings.apply
    loop.performer.asking.is_forced = loop.performer.ignore_bans = force
    if apply is not None:  # whoever asks for it takes back that they said "later"
        loop.parts.postponed.allow()
    loop.trials.follow()  # one that has been up for long enough is confirmed
    loop.handle(on.TimerFired() if scheduled else on.CheckRequested())
    loop.quit()
    return loop


def _outcome(loop: Loop, *, refused_if: type[Idle] | UnionType) -> Answer:
    """Return what a visit led to. Nothing new is no failure; an error is.

    So is a policy that says "not now" in a state of *refused_if*.
    """
    state, error = loop.state, loop.performer.last_error
    known = Staged | Armed | Trial
    answer: dict[str, Any] = {
        "state": type(state).__name__.lower(),
        "assignment": render_assignment(loop.performer.assignment),
        "version": str(state.edition.version) if isinstance(state, known) else None,
    }
    if isinstance(state, Passive):
        return FAILED, {**answer, **_problem(loop.performer.busy or StateError(Code.BUSY))}
    deferred = loop.performer.asking.deferred
    if deferred is not None and isinstance(state, refused_if):
        why = f"{deferred.reason}, until {zulu(deferred.until)} at the longest"
        return FAILED, {**answer, **_problem(PolicyError(Code.DEFERRED, why))}
    if isinstance(state, Staged | Armed):
        return DONE, answer
    if error is not None and loop.performer.failed:
        return FAILED, {**answer, **_problem(error)}
    return NOTHING, answer


def _problem(error: AgentError) -> dict[str, Any]:
    return {
        "error": {
            "category": error.category.value,
            "code": error.code.value,
            "detail": getattr(error, "detail", ""),
        }
    }


def _told(error: OSError) -> str:
    place = "" if error.filename is None else f"{error.filename}: "
    return f"{place}{error.strerror or error}"


def _io_problem(detail: str) -> dict[str, Any]:
    return {"error": {"category": "agent", "code": "io", "detail": detail}}


def _print(options: argparse.Namespace, code: int, answer: dict[str, Any]) -> None:
    if getattr(options, "json", False):
        print(json.dumps(answer, indent=1))
        return
    if options.command == "status" and code == DONE:
        print(tell(answer))  # its "error" is what the agent last ran into
        return
    error = answer.get("error")
    if error:
        detail = f": {error['detail']}" if error.get("detail") else ""
        _say(f"{error['category']}/{error['code']}{detail}")
    elif options.command in {"run", "launch", "tuf-conformance"}:
        return
    else:
        shown = [f"{name} {value}" for name, value in answer.items() if _is_plain(value)]
        reason = (answer.get("assignment") or {}).get("reason")
        print(", ".join([*shown, *([f"reason {reason}"] if reason else [])]) or f"exit {code}")


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _say(text: str) -> None:
    print(f"serinus-agent: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serinus-agent",
        description="Keep an app up to date with what its publisher signed.",
        usage="%(prog)s [-h] [--version] COMMAND [OPTION ...] [-- ARGS]",
        epilog="example: serinus-agent run --config agent.toml -- --port 8000 "
        "(what follows -- are the app's arguments; which program that is, its release says)",
    )
    version = USER_AGENT.replace("/", "-agent ")
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog=parser.prog
    )

    def add(name: str, text: str) -> argparse.ArgumentParser:
        usage = "%(prog)s [OPTION ...] [-- ARGS]" if name in {"run", "launch"} else None
        command = commands.add_parser(name, help=text, description=text, usage=usage)
        if name != "tuf-conformance":
            command.add_argument(
                "--config",
                type=Path,
                default=Path("agent.toml"),
                metavar="F",
                help="settings (default: agent.toml)",
            )
        command.add_argument("--json", action="store_true", help="one JSON document on stdout")
        return command

    add("run", "run in the foreground; with -- ARGS also start the app, with these arguments")
    check = add("check", "visit the server once, and do what it leads to")
    check.add_argument("--scheduled", action="store_true", help="by a timer, not by a person")
    applied = add("apply", "arm what is staged: the next start has it")
    applied.add_argument("--force", action="store_true", help="ignore policy and bans, never trust")
    add("launch", "start the app through its launcher, with the arguments ARGS")
    report = add("report", "send what waits, or say one thing")
    one = report.add_mutually_exclusive_group()
    one.add_argument("--healthy", action="store_true", help="this start works")
    one.add_argument("--crash", metavar="FILE", help="a minidump, or a crash as JSON; - is stdin")
    one.add_argument("--metric", metavar="N=V", help="a number, such as startup_ms=812")
    one.add_argument("--forget", action="store_true", help="have the server forget this install")
    add("status", "what is installed, what is armed, and why")
    enrolled = add("enrol", "join a group, or become another install")
    what = enrolled.add_mutually_exclusive_group(required=True)
    what.add_argument("code", nargs="?", metavar="CODE", help="from serinus enrolment")
    what.add_argument("--reset", action="store_true", help="draw a new install ID")
    _add_conformance(add("tuf-conformance", "adapter for the TUF client conformance suite"))
    return parser


def _add_conformance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metadata-dir", required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", default="")
    parser.add_argument("verb", choices=["init", "refresh", "download"])
    parser.add_argument("root", nargs="?")


if __name__ == "__main__":
    sys.exit(main())
