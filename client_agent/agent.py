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
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.config import (
    METRIC_NAME,
    Apply,
    AppSettings,
    ConfirmBy,
    CrashSettings,
    IdentityKind,
    NetworkSettings,
    Settings,
    Telemetry,
    this_platform,
)
from client_agent.consent.policy import DefaultPolicy, Policy, UpdateInfo
from client_agent.errors import ConfigError
from client_agent.guard import never_raises
from client_agent.launched import OWN, launch_of, root_of
from client_agent.launcher import given_environment
from client_agent.machine import events as on
from client_agent.machine.states import Staged, Trial
from client_agent.platforms import Platform
from client_agent.reports.crash_hooks import CrashHooks
from client_agent.reports.dsn import sentry_dsn
from client_agent.running.keep_running import keep_running, note_fault
from client_agent.running.loop import Loop
from client_agent.running.parts import Hooks, assemble
from client_agent.running.status import describe
from client_agent.settings_file import with_file
from client_agent.values import MarkerStatus
from rollout.errors import RolloutError
from rollout.names import check_app, check_channel, check_platform
from rollout.versions import parse_version

if TYPE_CHECKING:
    import asyncio

CLOSE_SECONDS = 0.5
WISH_SECONDS = 0.5


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
        policy: Policy | None = None,
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
            policy=policy,
        )
        self._version = version
        self._launch_id = launch_of(settings.app.app, self._environment)
        self._loop = Loop(self._parts, own_version=version, launch_id=self._launch_id)
        self._thread: threading.Thread | None = None
        self._hooks = CrashHooks(self._crashed)
        self._closed = False
        self._process = os.getpid()
        self._wish: threading.Thread | None = None

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
        metrics: Sequence[str] = ("startup_ms",),
        mirrors: Sequence[str] = (),
        proxy: str = "",
        proxy_headers: Callable[[str], Mapping[str, str]] | None = None,
        minidump_dirs: Sequence[Path | str] = (),
        messages: bool = False,
        policy: Policy | None = None,
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
            metrics: Names of the numbers that are told at level ``health`` too.
            mirrors: Further base URLs of files.
            proxy: URL of a proxy, instead of the system's.
            proxy_headers: Returns the headers for the proxy at that URL, such as a ticket; it is
                asked again when they were refused.
            minidump_dirs: Where the app's crash handler leaves minidumps; they are moved away.
            messages: Tell the messages of crashes too, scrubbed.
            policy: When an update has to wait, instead of the policy of ``agent.toml``.
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
        place = root_of(app, os.environ) if root is None else Path(root)
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
                metrics=tuple(metrics),
                network=NetworkSettings(
                    mirrors=tuple(one.rstrip("/") for one in mirrors), proxy=proxy
                ),
                crash=CrashSettings(
                    minidump_dirs=tuple(Path(folder) for folder in minidump_dirs),
                    messages=messages,
                ),
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
            proxy_headers=proxy_headers,
        )
        broken: ConfigError | None = None
        try:
            settings = with_file(settings, place / "agent.toml")
        except ConfigError as error:  # what a person wrote there must not stop the app
            broken = error
        agent = cls(settings, version=running, hooks=hooks, attributes=attributes, policy=policy)
        if broken is not None:
            agent.note(broken)
        return agent

    # --- life ------------------------------------------------------------------------

    @never_raises
    def start(self) -> None:
        """Begin to work in a thread of its own. Returns at once; a second call does nothing."""
        if self._thread is not None or self._closed:
            return
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="serinus-agent", daemon=True)
        self._hooks.install(self._fault_file())
        self._parts.spool.keep_ready()
        atexit.register(self._at_exit)
        self._thread.start()

    @never_raises
    def close(self) -> None:
        """Say that the app quits cleanly: two seconds at most, five with an update armed."""
        # A process that was forked off ends, and not the app: its start is not over.
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        self._hooks.remove()
        if self._thread is not None:
            self._loop.look_before_quit()
        self._loop.end()
        self._loop.quit()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        if self._wish is not None:
            self._wish.join(CLOSE_SECONDS)

    @never_raises
    def restart(self, arguments: Sequence[str] | None = None) -> None:
        """Close, and start the app again through its launcher; returns only if that fails."""
        self.close()
        command = self._parts.installation.launcher_command(
            sys.argv[1:] if arguments is None else arguments
        )
        environment = {name: text for name, text in given_environment().items() if name not in OWN}
        self._parts.platform.start(command, environment)

    # --- what the app says -----------------------------------------------------------

    @never_raises
    def healthy(self) -> None:
        """Say that the app is ready. A version on trial is confirmed when it also stays up."""
        self._loop.post(on.AppHealthy())
        if self._launch_id is not None:
            self._parts.installation.mark_healthy(self._launch_id)

    @never_raises
    def metric(self, name: str, value: float) -> None:
        """Report a number, such as ``startup_ms``. Names: ``[a-z][a-z0-9_]{0,63}``."""
        running = self._loop.performer.running()
        if running is not None and re.fullmatch(METRIC_NAME, name):
            self._parts.reporter.metric(name, value, running)

    @never_raises
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

    @never_raises
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

    @never_raises
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

    @never_raises
    def check_now(self) -> None:
        """Look for an update soon, at most every 10 seconds."""
        self._loop.post(on.CheckRequested())

    def apply(self) -> bool:
        """Apply what is staged: the next start has it. Return whether something is staged.

        Nobody else is asked, and what was said of later or never is taken back.
        """
        staged = isinstance(self._loop.state, Staged)
        self._take_back()
        self._loop.post(on.Allowed())
        return staged

    @never_raises
    def _take_back(self) -> None:
        self._parts.postponed.allow()

    def later(self) -> bool:
        """Put the version at hand off for a day, seven times at most; return whether it is."""
        return self._later() is True

    @never_raises
    def _later(self) -> bool:
        return self._loop.wishes.later()

    def skip(self) -> bool:
        """Put the version at hand off until there is another; return whether it is."""
        return self._skip() is True

    @never_raises
    def _skip(self) -> bool:
        return self._loop.wishes.skip()

    @property
    def policy(self) -> Policy:
        """What says when an update has to wait."""
        return self._parts.policy

    @property
    def busy(self) -> bool:
        """Whether the app is in the middle of something: then no update is made ready to start.

        Only the policy of ``agent.toml`` asks; one of the app's own knows by itself.
        """
        return isinstance(self.policy, DefaultPolicy) and self.policy.busy

    @busy.setter
    def busy(self, is_busy: bool) -> None:
        if isinstance(self.policy, DefaultPolicy):
            self.policy.busy = bool(is_busy)

    def sentry_dsn(self) -> str | None:
        """Return where a crash SDK reports what happens on this version.

        None at a level below ``crash``, and before the first answer of a server.
        """
        return self._sentry_dsn()

    @never_raises
    def _sentry_dsn(self) -> str | None:
        parts, running = self._parts, self._loop.performer.running()
        state = parts.installation.state.read()
        return sentry_dsn(parts.settings.app, state, running, parts.reporter.level)

    @never_raises
    def watch_asyncio(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Report what nobody catches in an event loop; by default the one that runs."""
        import asyncio  # noqa: PLC0415 - loaded by then; others need not wait for it

        self._hooks.watch(asyncio.get_running_loop() if loop is None else loop)

    def status(self) -> dict[str, Any]:
        """Return what the agent knows, as ``serinus-agent status --json`` shows it."""
        return self._describe() or {}

    @never_raises
    def _describe(self) -> dict[str, Any]:
        return describe(self._parts.installation, self._parts.spool)

    @property
    def on_trial(self) -> bool:
        """Whether this program is a new version that is not confirmed yet."""
        return isinstance(self._loop.state, Trial)

    @never_raises
    def reset_identity(self) -> None:
        """Become another install, and have the server forget the old one."""
        self._wish_for(self._loop.wishes.reset_identity)

    @property
    def telemetry(self) -> str:
        """What leaves the machine beside check-ins: ``off``, ``health`` or ``crash``."""
        return self._parts.reporter.level.value

    @telemetry.setter
    def telemetry(self, level: str) -> None:
        self._allow_telemetry(level)

    @never_raises
    def _allow_telemetry(self, level: str) -> None:
        wanted = Telemetry(level)
        self._wish_for(lambda: self._loop.wishes.allow_telemetry(wanted))

    # --- inside ----------------------------------------------------------------------

    def _wish_for(self, wish: Callable[[], object]) -> None:
        """Do what a person wants; where that has to wait for a visit, the app does not."""
        self._wish = threading.Thread(
            target=self._do, args=(wish,), name="serinus-wish", daemon=True
        )
        self._wish.start()
        self._wish.join(WISH_SECONDS)

    @never_raises
    def _do(self, wish: Callable[[], object]) -> None:
        wish()

    def _work(self) -> None:
        keep_running(self._loop, self._loop.run)

    def _fault_file(self) -> Path | None:
        """Return where it is written down what kills the interpreter in this start."""
        if self._launch_id is None:
            return None
        marker = self._parts.installation.marker(self._launch_id)
        launches = self._parts.installation.launches
        return None if marker is None else launches / f"{marker.launch_id}.fault"

    def _at_exit(self) -> None:
        self.close()

    @never_raises
    def _crashed(self, error: BaseException, ends_process: bool) -> None:
        """Report an error that nobody caught; one that ends the process ends its marker too."""
        self.capture(error)
        is_app = self._process == os.getpid()
        if ends_process and is_app and self._launch_id is not None:
            now = self._parts.clock.now()
            self._parts.installation.seal_marker(
                self._launch_id, MarkerStatus.CRASHED, now, exit_code=1
            )

    def note(self, error: BaseException) -> None:
        """Report a fault of the agent's own; never raises."""
        note_fault(self._loop, error)
