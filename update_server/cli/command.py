"""What all commands share: their common options, their session, and how they end."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from update_server.cli import workspace as workspaces
from update_server.cli.api import AdminApi, HttpTransport
from update_server.cli.connection import is_loopback
from update_server.cli.console import Console
from update_server.cli.errors import DONE, REFUSED, CliError, UsageError
from update_server.cli.workspace import Workspace

Body = Callable[..., int | None]

_TOKEN = re.compile(r"[!-~]+")
_EXAMPLE = re.compile(r"^([ \t]*)(Example:)", re.MULTILINE)


class Command(click.Command):
    """A command in whose help examples keep their lines, so that they can be pasted."""

    def __init__(self, *names: Any, **settings: Any) -> None:
        super().__init__(*names, **settings)
        if self.help:
            self.help = _EXAMPLE.sub("\\1\b\n\\1\\2", self.help)


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command


class Session:
    """One run of a command: its console, and where its server, app and token come from.

    ``patient``: whether a server of this machine that is just being started is waited for.
    """

    def __init__(
        self,
        console: Console,
        *,
        server: str | None = None,
        token_file: Path | None = None,
        app: str | None = None,
    ) -> None:
        self.console = console
        self.patient = True
        self._server = server
        self._token_file = token_file
        self._app = app

    @functools.cached_property
    def workspace(self) -> Workspace | None:
        """The workspace of the present folder, if there is one."""
        return workspaces.find(Path.cwd())

    def need_workspace(self) -> Workspace:
        """Return the workspace; raises UsageError when there is none."""
        if self.workspace is None:
            raise UsageError(
                "no_workspace",
                f"there is no {workspaces.FILE} here or above",
                hint="serinus init, or SERINUS_WORKSPACE=FOLDER",
            )
        return self.workspace

    @functools.cached_property
    def api(self) -> AdminApi:
        """The admin API of the chosen server.

        The workspace's own, on this machine, may just be starting: it is waited for.
        """
        own = self.workspace.server if self.workspace else None
        starting = self.patient and self.server == own and is_loopback(self.server)
        transport = HttpTransport(self.server, say=self.console.say if starting else None)
        return AdminApi(transport, self._token())

    @property
    def server(self) -> str:
        """The URL of the chosen server: as given, or the workspace's, or the usual one."""
        own = self.workspace.server if self.workspace else None
        return self._server or own or workspaces.DEFAULT_SERVER

    @property
    def app(self) -> str:
        """The app that the command is about."""
        app = self._app or (self.workspace.app if self.workspace else None)
        if app is None:
            raise UsageError("no_app", "no app is named", hint="--app NAME")
        return app

    def channel(self, given: str | None) -> str:
        """Return the channel: as given, or the workspace's, or stable."""
        return given or (self.workspace.channel if self.workspace else "stable")

    def _token(self) -> str:
        if self._token_file is not None:
            return _read_token(self._token_file)
        if token := os.environ.get("SERINUS_TOKEN"):
            return _token(token, "SERINUS_TOKEN")
        if self.workspace is not None and self.workspace.token_file.exists():
            return _read_token(self.workspace.token_file)
        raise UsageError("no_token", "no token is named", hint="--token-file FILE")


def _read_token(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise UsageError("no_token", f"no token can be read from {path}: {why}") from error
    except UnicodeDecodeError as error:
        raise UsageError("no_token", f"no token can be read from {path}: it is no text") from error
    return _token(text, str(path))


def _token(text: str, where: str) -> str:
    """Return the token in *text*; raises UsageError when it is none, without showing it."""
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise UsageError("no_token", f"what {where} holds is no token")
    return token


def option(*names: str, **settings: Any) -> Callable[[Body], Body]:
    """Return a click option that can also be set by the variable ``SERINUS_<FLAG>``."""
    flag = next(name for name in names if name.startswith("--")).split("/")[0]
    settings.setdefault("envvar", "SERINUS_" + re.sub(r"\W+", "_", flag[2:]).upper())
    return click.option(*names, **settings)


def local(body: Body) -> Body:
    """Make *body* a command on this machine: ``body(session, …)`` returns its exit code."""

    @option("--json", "as_json", is_flag=True, help="Print one JSON document to stdout.")
    @option("--yes", is_flag=True, help="Answer every plain question with yes.")
    @functools.wraps(body)
    def run(*, as_json: bool, yes: bool, **arguments: Any) -> None:
        session = Session(Console(as_json=as_json, yes=yes), **_take_remote(arguments))
        raise SystemExit(outcome(session.console, lambda: body(session, **arguments)))

    return run


def remote(body: Body) -> Body:
    """Make *body* a command that speaks to a server."""
    run = local(body)
    run = option("--app", help="The app; else the workspace's.")(run)
    run = option("--token-file", type=click.Path(path_type=Path), help="File with the API token.")(
        run
    )
    return option("--server", help="URL of the admin app; else the workspace's.")(run)


def _take_remote(arguments: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in ("server", "token_file", "app") if name in arguments]
    return {name: arguments.pop(name) for name in names}


def outcome(console: Console, run: Callable[[], int | None]) -> int:
    """Return the exit code of *run*; tell what went wrong. The one place that does.

    ``SERINUS_DEBUG=1`` lets faults of ours through, with their stack traces.
    """
    try:
        return run() or DONE
    except CliError as error:
        return _refused(console, error)
    except KeyboardInterrupt:
        again = "interrupted; the same command can be given again"
        return _refused(console, CliError("interrupted", again))
    except BrokenPipeError:
        # Whoever reads our output has seen enough (`serinus release list | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refused(console, CliError("os_error", f"{where}{error.strerror or error}"))
    except Exception as error:
        if os.environ.get("SERINUS_DEBUG"):
            raise
        text = f"this should not happen: {type(error).__name__}: {error}"
        hint = "the same with SERINUS_DEBUG=1, and report what it prints"
        return _refused(console, CliError("internal", text, hint=hint))


def _refused(console: Console, error: CliError) -> int:
    console.error(error)
    return error.exit_code
