"""The agent as an app embeds it. Nothing here raises into the app, blocks it, or ends it.

agent = Agent.for_app(app="notes", version=__version__, root_metadata=ROOT_JSON,
server="https://updates.example.org")
agent.start()
...
agent.healthy()
...
agent.close()
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from packaging.version import Version
from platformdirs import user_data_path

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.config import (
    Apply,
    AppSettings,
    ConfirmBy,
    IdentityKind,
    NetworkSettings,
    Settings,
    Telemetry,
    this_platform,
)
from client_agent.crash_hooks import CrashHooks
from client_agent.download import Stopped
from client_agent.errors import AgentError, ConfigError
from client_agent.launcher import given_environment
from client_agent.loop import Loop
from client_agent.machine import events as on
from client_agent.machine.states import Staged, Trial
from client_agent.parts import Hooks, assemble
from client_agent.platforms import Platform
from client_agent.policy import UpdateInfo
from client_agent.report import METRIC_NAME
from client_agent.schedule import DEFAULT_PERIOD_SECONDS
from client_agent.settings_file import with_file
from client_agent.status import describe
from client_agent.values import MarkerStatus
from rollout.errors import RolloutError
from rollout.names import check_app, check_channel, check_platform
from rollout.versions import parse_version

CLOSE_SECONDS = 0.5
LAST_LOOK_SECONDS = 3.0
GOOD_RUN_SECONDS = 3_600.0
"""A fault of ours after a run of so long is the first of its row."""

LAUNCH, ROOT, APP = "SERINUS_LAUNCH", "SERINUS_ROOT", "SERINUS_LAUNCH_APP"
OWN = frozenset({LAUNCH, ROOT, APP, f"{LAUNCH}_FD"})
"""What the launcher puts into an app's environment."""

P = ParamSpec("P")
T = TypeVar("T")

Method = Callable[P, T]


def _never_raises(method: Callable[P, T]) -> Callable[P, T | None]:
    """Make a method return None instead of raising: the app must never pay for our faults."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(*args, **kwargs)
        except AgentError:
            return None  # a disk or a server that does not do what was asked
        except Exception as error:  # noqa: BLE001 - the last line of defence
            agent = args[0]
            if isinstance(agent, Agent):
                agent._note(error)  # noqa: SLF001 - of this module
            return None

    return guarded


class Agent:
    """One app's agent: a daemon thread that keeps the app up to date.

    Make it with ``for_app``. ``settings`` alone is for programs that read their own.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        version: Version | None = None,
        hooks: Hooks | None = None,
        attributes: Mapping[str, str] | None = None,
        platform: Platform | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._parts = assemble(
            settings,
            hooks=hooks,
            attributes=attributes,
            platform=platform,
            clock=clock,
            chance=chance,
        )
        self._version = version
        is_ours = _is_for(settings.app.app, self._environment)
        self._launch_id = self._environment.get(LAUNCH) if is_ours else None
        self._loop = Loop(self._parts, own_version=version, launch_id=self._launch_id)
        self._thread: threading.Thread | None = None
        self._hooks = CrashHooks(self._crashed)
        self._closed = False

    @classmethod
    def for_app(
        cls,
        *,
        app: str,
        version: str,
        root_metadata: bytes,
        server: str,
        channel: str = "stable",
        platform: str | None = None,
        root: Path | str | None = None,
        built_at: datetime | None = None,
        apply: str = "on_quit",
        telemetry: str = "crash",
        confirm: str = "app",
        identity: str = "stable",
        mirrors: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        on_staged: Callable[[UpdateInfo], None] | None = None,
        on_restart_wanted: Callable[[UpdateInfo], None] | None = None,
        on_fell_back: Callable[[UpdateInfo], None] | None = None,
        on_foreground: Callable[[], bool] | None = None,
    ) -> Agent:
        """Return the agent of an app, started by nothing yet.

        Args:
            app: The app's name at the server.
            version: What this very program is.
            root_metadata: The signed root, compiled in: never read it from a writable place.
            server: Base URL, such as ``https://updates.example.org``.
            channel: Which releases it follows.
            platform: Such as ``linux-x86_64``; by default this machine's.
            root: Where versions live; by default where the launcher says, else the user's data.
            built_at: When this program was built, UTC.
            apply: ``pre_download``, ``on_quit`` or ``now``.
            telemetry: ``off``, ``health`` or ``crash``.
            confirm: ``app`` (call ``healthy()``) or ``uptime``.
            identity: ``volatile`` in containers.
            mirrors: Further base URLs of files.
            attributes: What audiences may ask for, beside ``os_version`` and ``locale``.
            on_progress: Gets bytes done and bytes in all.
            on_staged: An update is complete: the next start has it (``on_quit``), or it waits
                for ``apply()`` (``pre_download``).
            on_restart_wanted: It is complete, and somebody asked for it: call ``restart()`` soon.
            on_fell_back: The new version did not work here; the old one runs.
            on_foreground: Does the app need the network itself now? A download then pauses, for
                ten minutes in all.

        Raises:
            ConfigError: An argument cannot be.
        """
        found = os.environ.get(ROOT) if _is_for(app, os.environ) else None
        place = Path(root) if root is not None else Path(found) if found else _default_root(app)
        try:
            compiled_in = AppSettings(
                app=check_app(app),
                channel=check_channel(channel),
                platform=check_platform(platform or this_platform()),
                server=server.rstrip("/"),
                root_metadata=root_metadata,
                built_at=built_at,
            )
            settings = Settings(
                app=compiled_in,
                root=place,
                apply=Apply(apply),
                telemetry=Telemetry(telemetry),
                confirm=ConfirmBy(confirm),
                identity=IdentityKind(identity),
                network=NetworkSettings(mirrors=tuple(one.rstrip("/") for one in mirrors)),
            )
            running = parse_version(version)
        except (RolloutError, ValueError) as error:
            raise ConfigError("for_app", str(error)) from error
        hooks = Hooks(
            on_progress=on_progress,
            on_staged=on_staged,
            on_restart_wanted=on_restart_wanted,
            on_fell_back=on_fell_back,
            on_foreground=on_foreground,
        )
        try:
            settings = with_file(settings, place / "agent.toml")
        except ConfigError as error:  # what a person wrote there must not stop the app
            agent = cls(settings, version=running, hooks=hooks, attributes=attributes)
            agent._note(error)
            return agent
        return cls(settings, version=running, hooks=hooks, attributes=attributes)

    # --- life ------------------------------------------------------------------------

    @_never_raises
    def start(self) -> None:
        """Begin to work in a thread of its own. Returns at once; a second call does nothing."""
        if self._thread is not None or self._closed:
            return
        self._thread = threading.Thread(target=self._work, name="serinus-agent", daemon=True)
        self._hooks.install()
        atexit.register(self._at_exit)
        self._thread.start()

    @_never_raises
    def close(self) -> None:
        """Say that the app quits cleanly: two seconds at most, five with an update armed."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        self._hooks.remove()
        if self._thread is not None:
            look = threading.Thread(target=self._last_look, daemon=True)
            look.start()
            look.join(LAST_LOOK_SECONDS)
        self._loop.end()
        self._loop.quit()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    @_never_raises
    def restart(self, arguments: Sequence[str] | None = None) -> None:
        """Close, and start the app again through its launcher; returns only if that fails."""
        self.close()
        command = self._parts.installation.launcher_command(
            sys.argv[1:] if arguments is None else arguments
        )
        environment = {name: text for name, text in given_environment().items() if name not in OWN}
        self._parts.platform.start(command, environment)

    # --- what the app says -----------------------------------------------------------

    @_never_raises
    def healthy(self) -> None:
        """Say that the app is ready. A version on trial is confirmed when it also stays up."""
        self._loop.post(on.AppHealthy())
        if self._launch_id is not None:
            self._parts.installation.mark_healthy(self._launch_id)

    @_never_raises
    def metric(self, name: str, value: float) -> None:
        """Report a number, such as ``startup_ms``. Names: ``[a-z][a-z0-9_]{0,63}``."""
        running = self._loop.performer.running()
        if running is not None and re.fullmatch(METRIC_NAME, name):
            self._parts.reporter.metric(name, value, running)

    @_never_raises
    def capture(self, error: BaseException) -> None:
        """Report an error that the app's toolkit swallowed: type and place, nothing else."""
        running = self._loop.performer.running()
        if running is not None:
            self._parts.reporter.crash(error, running, self._launch_id)

    def data_schema(self, number: int) -> bool:
        """Say which schema the app's data has from now on; return whether that is on record.

        No version that cannot read it is fallen back to. So say it first, and migrate then:
        ``if agent.may_migrate(2) and agent.data_schema(2): migrate()``.
        """
        return self._data_schema(number) is True

    @_never_raises
    def _data_schema(self, number: int) -> bool:
        installation = self._parts.installation
        installation.create_root(installation.root)  # the thread may not have come to it yet
        installation.state.set_data_schema(number)
        return True

    def may_migrate(self, number: int) -> bool:
        """Return whether data may be brought to schema *number* now.

        On trial only if the version to fall back to could still read it.
        """
        return self._may_migrate(number) is True

    @_never_raises
    def _may_migrate(self, number: int) -> bool:
        marker = self._parts.installation.marker(self._launch_id) if self._launch_id else None
        if marker is None or not marker.trial:
            return True
        state = self._parts.installation.state.read()
        if state.pending is None:  # confirmed meanwhile
            return True
        reads = None if state.current is None else state.current.reads_schema_max
        return reads is not None and reads >= number

    # --- what the app asks for -------------------------------------------------------

    @_never_raises
    def check_now(self) -> None:
        """Look for an update soon, at most every 10 seconds."""
        self._loop.post(on.CheckRequested())

    def apply(self) -> bool:
        """Apply what is staged: the next start has it. Return whether something is staged."""
        staged = isinstance(self._loop.state, Staged)
        self._loop.post(on.Allowed())
        return staged

    def status(self) -> dict[str, Any]:
        """Return what the agent knows, as ``serinus-agent status --json`` shows it."""
        return self._describe() or {}

    @_never_raises
    def _describe(self) -> dict[str, Any]:
        return describe(self._parts.installation, self._parts.spool)

    @property
    def on_trial(self) -> bool:
        """Whether this program is a new version that is not confirmed yet."""
        return isinstance(self._loop.state, Trial)

    @_never_raises
    def reset_identity(self) -> None:
        """Become another install, and have the server forget the old one."""
        self._loop.wishes.reset_identity()

    @property
    def telemetry(self) -> str:
        """What leaves the machine beside check-ins: ``off``, ``health`` or ``crash``."""
        return self._parts.reporter.level.value

    @telemetry.setter
    def telemetry(self, level: str) -> None:
        self._allow_telemetry(level)

    @_never_raises
    def _allow_telemetry(self, level: str) -> None:
        self._loop.wishes.allow_telemetry(Telemetry(level))

    # --- inside ----------------------------------------------------------------------

    def _work(self) -> None:
        keep_running(self._loop, self._loop.run)

    @_never_raises
    def _last_look(self) -> None:
        self._loop.check_before_quit()

    def _at_exit(self) -> None:
        self.close()

    @_never_raises
    def _crashed(self, error: BaseException, ends_process: bool) -> None:
        """Report an error that nobody caught; one that ends the process ends its marker too."""
        self.capture(error)
        if ends_process and self._launch_id is not None:
            now = self._parts.clock.now()
            self._parts.installation.seal_marker(
                self._launch_id, MarkerStatus.CRASHED, now, exit_code=1
            )

    def _note(self, error: BaseException) -> None:
        _note(self._loop, error)


def _is_for(app: str, environment: Mapping[str, str]) -> bool:
    """Return whether a launcher spoke to *app*, and not to an app that started this one."""
    return environment.get(APP, app) == app


def _default_root(app: str) -> Path:
    return user_data_path(app, appauthor=False) / "serinus"


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
            _note(loop, error)
        faults = 1 if clock.monotonic() - began > GOOD_RUN_SECONDS else faults + 1
        pause = schedule.failure(loop.parts.chance.share(), DEFAULT_PERIOD_SECONDS, faults)
        if loop.stop.is_set() or clock.wait(loop.stop, pause):
            return


def _note(loop: Loop, error: BaseException) -> None:
    """Report a fault of ours; if even that fails, there is nobody left to tell."""
    try:
        loop.performer.crashed(error)
    except Exception:  # noqa: BLE001 - see above
        return
