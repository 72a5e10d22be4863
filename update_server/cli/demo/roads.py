"""The public roads to the server: the ``serinus`` command as a process, and its HTTP calls."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from packaging.version import Version

from rollout.versions import parse_version
from update_server.cli.api import AdminApi, HttpTransport, app_path
from update_server.cli.demo.programs import variables_without_ours
from update_server.cli.errors import CliError

_TICK_SECONDS = 0.2
_MAX_TICKS = 600  # two minutes, for what takes seconds
_MAX_ANSWER_SECONDS = 10.0
_OK = 200


Idle = Callable[[], None]
"""What is done again and again while a command runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """A person with a workspace, who types commands.

    ``passphrase`` is the file with it; ``scratch`` the folder for temporary files, which those
    of a command that is cut off do not outlive.
    """

    workspace: Path
    passphrase: Path
    scratch: Path
    idle: Idle

    @property
    def environment(self) -> dict[str, str]:
        """What the commands find in their environment: nothing of the caller's settings."""
        own = {
            "SERINUS_WORKSPACE": str(self.workspace),
            "SERINUS_PASSPHRASE_FILE": str(self.passphrase),
            "TMPDIR": str(self.scratch),
        }
        return variables_without_ours(os.environ) | own

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line of a ``serinus`` command."""
        return (sys.executable, "-m", "update_server.cli.main", *arguments)

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run a ``serinus`` command and return its JSON document.

        Raises:
            CliError: It failed, as its own document tells.
        """
        what = " ".join(["serinus", *arguments[:2]])
        command = self.command(*arguments, "--json")
        return run_command(what, command, self.environment, self.idle)


def run_command(
    what: str, command: Sequence[str], environment: Mapping[str, str], idle: Idle
) -> dict[str, Any]:
    """Run *command* and return the JSON object it prints; anything else is an empty one.

    Raises:
        CliError: It failed or took too long; *what* names it (arguments may be secret).
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(environment),
    ) as process:
        try:
            printed, said = _talk(process, idle)
        except subprocess.TimeoutExpired as error:
            raise CliError("command_failed", f"{what} does not end") from error
        finally:
            process.kill()  # nothing happens to one that has ended
    document = _object(printed)
    if process.returncode:
        words = said.strip().splitlines() or [f"it ended with {process.returncode}"]
        raise CliError("command_failed", f"{what}: {document.get('detail') or words[-1]}")
    return document


def _talk(process: subprocess.Popen[str], idle: Idle) -> tuple[str, str]:
    for _ in range(_MAX_TICKS):
        try:
            return process.communicate(timeout=_TICK_SECONDS)
        except subprocess.TimeoutExpired:
            idle()
    return process.communicate(timeout=0)


def _object(printed: str) -> dict[str, Any]:
    try:
        document = json.loads(printed)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


class Outsider:
    """Whoever can reach the public app, without a token."""

    def __init__(self, public_url: str, app: str) -> None:
        self._url = public_url
        self._app = app
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=_MAX_ANSWER_SECONDS), retries=False
        )

    def ready(self) -> bool:
        """Return whether the public app can answer check-ins."""
        try:
            return bool(self._pool.request("GET", f"{self._url}/readyz").status == _OK)
        except urllib3.exceptions.HTTPError:
            return False

    def check_in(self, request: Mapping[str, Any]) -> str | None:
        """Ask as an install would; return the version that is offered, if one is.

        Raises:
            CliError: There is no answer, or it is a refusal.
        """
        url = f"{self._url}/v1/apps/{self._app}/check-in"
        try:
            answer = self._pool.request("POST", url, json=dict(request))
            document = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise CliError("unreachable", f"a check-in got no answer: {error}") from error
        if answer.status != _OK:
            raise CliError("refused", f"a check-in was refused with {answer.status}: {document}")
        version = document["assignment"]["version"]
        return None if version is None else str(version)


class Observer:
    """Whoever has a token and looks at rollouts."""

    def __init__(self, admin_url: str, token: str, app: str) -> None:
        self._api = AdminApi(HttpTransport(admin_url), token)
        self._app = app

    def ready(self) -> bool:
        """Return whether the admin app answers."""
        try:
            self._api.get(app_path(self._app, "rollouts"))
        except CliError:
            return False
        return True

    def reached(self, rollout_id: str, phase: str) -> int:
        """Return how many installs reached a phase of the funnel, in all arms."""
        found = self._api.get(app_path(self._app, "rollouts", rollout_id))
        return sum(found["funnel"].get(phase, {}).values())

    def knows_installs_on(self, version: Version) -> bool:
        """Return whether an install has told the server that it runs *version*."""
        found = self._api.items(app_path(self._app, "versions"))
        return any(each["version"] and parse_version(each["version"]) == version for each in found)

    def state(self, rollout_id: str) -> str:
        """Return the rollout's state."""
        return str(self._api.get(app_path(self._app, "rollouts", rollout_id))["state"])

    def stop(self, rollout_id: str) -> dict[str, Any] | None:
        """Return the record of the newest decision that stops the rollout, if there is one."""
        found = self._api.items(app_path(self._app, "rollouts", rollout_id, "decisions"))
        return next((each for each in found if each["verdict"] in {"pause", "pull"}), None)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nothing listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
