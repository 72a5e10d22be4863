"""What the story is told with: a workspace, a running server, and a fleet of agents."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from packaging.version import Version

from rollout.model import Release
from update_server.cli.demo import ladder
from update_server.cli.demo.children import Child, Children
from update_server.cli.demo.fleet import (
    GROUP,
    AgentSettings,
    InstallFolder,
    Launch,
    Look,
    make_folders,
)
from update_server.cli.demo.people import People, invite
from update_server.cli.demo.programs import variables_without_ours
from update_server.cli.demo.roads import Observer, Outsider, Publisher, free_ports, run_command
from update_server.cli.demo.screen import Counts, RingCounts, Screen
from update_server.cli.demo.signed import Source, ring_of, signed_releases
from update_server.cli.errors import CliError

APP = "demo"
CHANNEL = "stable"
SERVER_CHECK_IN_SECONDS = 300
"""The shortest period that agents obey; their ``unsafe_speed`` divides it."""

_TICK_SECONDS = 0.2
_START_SECONDS = 60.0
_NICE_AGENTS = 10  # the server and the person who watches come first


class Clock(Protocol):
    """What the demo asks of a clock. ``SystemClock`` satisfies it."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


Looks = Mapping[int, Look]
"""What each install's folder says, by the install's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How large and how fast the demo is, and where its data lies."""

    folder: Path
    installs: int
    speed: float

    @property
    def internal(self) -> int:
        """How many of the installs are the publisher's own."""
        return max(1, self.installs // 10)

    @property
    def check_in_seconds(self) -> float:
        """How often each agent checks in."""
        return SERVER_CHECK_IN_SECONDS / self.speed

    @property
    def patience_seconds(self) -> float:
        """How long to wait for the fleet; a first check-in alone takes up to ten minutes / speed.

        Ten times what it usually takes: a demo fails on a fault, not on a slow machine.
        """
        return 90 + self.installs + 1_200 / self.speed


class Stage:
    """Everything that runs. Make it, ``set_up``, and ``strike`` it at the end."""

    def __init__(self, settings: Settings, screen: Screen, clock: Clock) -> None:
        self.settings = settings
        self.screen = screen
        self.clock = clock
        self.children = Children()
        self.agents: list[Child] = []
        self.installs: tuple[InstallFolder, ...] = ()
        self.witnessed: dict[int, set[Launch]] = {}
        self.lost: set[int] = set()
        self.versions: list[Version] = []
        self.people: People | None = None
        self._release: Release | None = None
        self.publisher = Publisher(
            workspace=settings.folder / "workspace",
            passphrase=settings.folder / "passphrase",
            scratch=settings.folder / "tmp",
            idle=self.glance,
        )
        public, admin = free_ports(2)
        self.public_url = f"http://127.0.0.1:{public}"
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.platform = ""

    @property
    def server_log(self) -> Path:
        """What the server says."""
        return self.settings.folder / "server.log"

    # --- the parts -----------------------------------------------------------------------

    def make_workspace(self) -> None:
        """Make keys, settings, server data, the app and its token (``serinus init``)."""
        self.publisher.scratch.mkdir()
        passphrase = self.publisher.passphrase
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(24), encoding="ascii")
        policy = self.settings.folder / "policy.json"
        policy.write_text(json.dumps(ladder.policy()), encoding="utf-8")
        workspace = self.publisher.workspace
        # The workspace is not there yet, so it cannot be named by the variable.
        made = self.publisher.run(
            "init", str(workspace), "--app", APP, "--channel", CHANNEL, "--policy", str(policy),
            "--public", _address(self.public_url), "--admin", _address(self.admin_url),
        )  # fmt: skip
        self.platform = made["platforms"][0]
        settings = workspace / "serinus.toml"
        head, table, rest = settings.read_text(encoding="utf-8").partition("[server]\n")
        own = f"next_check_in_seconds = {SERVER_CHECK_IN_SECONDS}\n"
        settings.write_text(head + table + own + rest, encoding="utf-8")

    def start_server(self) -> None:
        """Start ``serinus serve`` and return when both apps answer."""
        self.children.start(
            "serinus serve",
            self.publisher.command("serve"),
            cwd=self.settings.folder,
            log=self.server_log,
            environment=self.publisher.environment,
        )
        outsider, observer = self.outsider(), self.observer()
        deadline = self.clock.monotonic() + _START_SECONDS
        while not (outsider.ready() and observer.ready()):
            self.children.check()
            if self.clock.monotonic() > deadline:
                raise CliError("too_slow", f"the server is not ready after {_START_SECONDS:.0f} s")
            self.clock.sleep(_TICK_SECONDS)

    def invite_people(self) -> People:
        """Let people sign in to the server's pages."""
        self.people = invite(self.publisher, self.admin_url)
        return self.people

    def make_installs(self) -> None:
        """Write the installs' folders, and enrol the internal ones."""
        settings = AgentSettings(
            app=APP,
            channel=CHANNEL,
            platform=self.platform,
            server=self.public_url,
            speed=self.settings.speed,
        )
        self.installs = make_folders(
            self.settings.folder / "installs",
            self.settings.installs,
            self.settings.internal,
            settings,
            self.root_metadata,
        )
        self.publisher.run("group", "add", GROUP)
        uses = str(self.settings.internal)
        code = self.publisher.run("enrolment", "new", GROUP, "--uses", uses)["code"]
        for install in self.installs:
            if install.internal:
                what, command = f"{install.name} enrol", install.agent("enrol", code)
                run_command(what, command, self._agent_environment, self.glance)

    @property
    def _agent_environment(self) -> dict[str, str]:
        return variables_without_ours(os.environ)

    def start_agent(self, install: InstallFolder) -> None:
        """Start one install's agent."""
        child = self.children.start(
            install.name,
            install.agent("run"),
            cwd=install.root,
            log=install.log,
            environment=self._agent_environment,
            nice=_NICE_AGENTS,
        )
        self.agents.append(child)

    def bury(self) -> list[InstallFolder]:
        """Note in ``lost`` the installs whose agent was killed, and return the new ones."""
        killed = self.children.bury()
        self.agents = [agent for agent in self.agents if agent not in killed]
        names = {child.name for child in killed}
        buried = [install for install in self.installs if install.name in names]
        self.lost |= {install.number for install in buried}
        return buried

    def stop_agents(self) -> None:
        """Stop all agents, and note the last of what they did."""
        self.children.stop(self.agents)
        self.agents.clear()
        self.look()

    def strike(self) -> None:
        """Stop everything."""
        self.children.stop()

    # --- who looks -----------------------------------------------------------------------

    @property
    def root_metadata(self) -> bytes:
        """The root that the installs are built with."""
        return (self.publisher.workspace / "root.json").read_bytes()

    def outsider(self) -> Outsider:
        """Return somebody without a token."""
        return Outsider(self.public_url, APP)

    def observer(self) -> Observer:
        """Return somebody with the workspace's token."""
        token = (self.publisher.workspace / "admin.token").read_text(encoding="ascii").strip()
        return Observer(self.admin_url, token, APP)

    def signed(self, versions: Iterable[Version]) -> Mapping[Version, Release]:
        """Return those of *versions* that verify from the workspace's root."""
        source = Source(
            public_url=self.public_url,
            root=self.root_metadata,
            app=APP,
            channel=CHANNEL,
            platform=self.platform,
        )
        return signed_releases(source, versions, self.settings.folder / "outside")

    def follow(self, release: Release) -> None:
        """Show the installs by the rings of *release* from now on."""
        self._release = release
        if release.version not in self.versions:
            self.versions.append(release.version)

    def ring(self, install: InstallFolder, look: Look) -> str:
        """Return the ring of the followed release in which the install is first."""
        if install.internal:
            return ladder.INTERNAL
        if self._release is None or look.install_id is None:
            return ""
        return ring_of(self._release, look.install_id, ladder.GENERAL)

    # --- watching ------------------------------------------------------------------------

    def look(self) -> Looks:
        """Look into every folder, and remember the starts that are on record."""
        looks = {install.number: install.look() for install in self.installs}
        for number, look in looks.items():
            self.witnessed.setdefault(number, set()).update(look.starts)
        return looks

    def glance(self) -> None:
        """Look, and show what is seen: for whenever something else takes its time."""
        if self.installs:
            self.screen.show(self._counts(self.look()))

    def _counts(self, looks: Looks) -> Counts:
        rings = {ladder.title(ring): RingCounts() for ring in ladder.RINGS}
        for install in self.installs:
            look = looks[install.number]
            ring = self.ring(install, look) or ladder.RINGS[-1]
            rings[ladder.title(ring)].add(look.version, look.pending, look.banned)
        return Counts(versions=tuple(self.versions), rings=rings)

    def wait(self, what: str, reached: Callable[[Looks], bool], *, mortal: bool = False) -> Looks:
        """Watch until *reached*; return what the folders say then.

        *mortal*: agents may be killed meanwhile; they are noted in ``lost``.

        Raises:
            CliError: It takes longer than patience lasts, or a process ended by itself.
        """
        seconds = self.settings.patience_seconds
        deadline = self.clock.monotonic() + seconds
        while True:
            if mortal:
                self.bury()
            self.children.check(mortal=mortal)
            looks = self.look()
            done = reached(looks)
            self.screen.show(self._counts(looks), last=done)
            if done:
                return looks
            if self.clock.monotonic() > deadline:
                raise CliError("too_slow", f"not {what} within {seconds:.0f} s")
            self.clock.sleep(_TICK_SECONDS)


def _address(url: str) -> str:
    return url.removeprefix("http://")
