"""The parts of one agent, put together from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from client_agent.chance import Chance, SystemChance
from client_agent.clock import Clock, SystemClock
from client_agent.config import Settings
from client_agent.consent.policy import DefaultPolicy, Policy, UpdateInfo
from client_agent.consent.postponed import PostponedFile
from client_agent.contact.attributes import system_attributes
from client_agent.contact.identity import Identities, Identity
from client_agent.network.download import Downloader, Source
from client_agent.network.mirrors import Mirrors
from client_agent.network.proxies import ProxyHeaders
from client_agent.network.transport import Transport
from client_agent.platforms import Platform
from client_agent.platforms import current as current_platform
from client_agent.reports.minidumps import Minidumps
from client_agent.reports.reporter import Reporter
from client_agent.reports.sender import Sender
from client_agent.reports.spool import Spool
from client_agent.schedule import Schedule
from client_agent.trust.decision import Trust
from client_agent.versions.install import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the app wants to hear. A hook that raises is reported and otherwise ignored.

    ``on_foreground`` is asked while a download goes on: it pauses while the answer is true, ten
    minutes in all, and not at all for what must be reached.
    """

    on_progress: Callable[[int, int], None] | None = None
    on_staged: Callable[[UpdateInfo], None] | None = None
    on_restart_wanted: Callable[[UpdateInfo], None] | None = None
    on_fell_back: Callable[[UpdateInfo], None] | None = None
    on_foreground: Callable[[], bool] | None = None
    proxy_headers: ProxyHeaders | None = None


@dataclass(slots=True, kw_only=True)
class Parts:
    """Everything that an agent works with."""

    settings: Settings
    installation: Installation
    platform: Platform
    clock: Clock
    chance: Chance
    schedule: Schedule
    trust: Trust
    downloader: Downloader
    spool: Spool
    reporter: Reporter
    sender: Sender
    identities: Identities
    policy: Policy
    postponed: PostponedFile
    minidumps: Minidumps
    attributes: Mapping[str, str] = field(default_factory=dict)
    hooks: Hooks = field(default_factory=Hooks)

    def transport(self) -> Transport:
        """Return the connections of one visit."""
        app, network = self.settings.app, self.settings.network
        proxies = self.platform.proxies
        return Transport(
            app.server,
            network,
            self.clock,
            system_proxies=proxies,
            proxy_headers=self.hooks.proxy_headers,
        )

    def sources(self, identity: Identity) -> list[Source]:
        """Return where files come from, in order; credentials are for the app's server only."""
        credentials = tuple(one.credential for one in identity.enrolments)
        own = Source(base=self.settings.app.base, credentials=credentials)
        return [own, *(Source(base=mirror) for mirror in self.settings.network.mirrors)]


def assemble(
    settings: Settings,
    *,
    hooks: Hooks | None = None,
    attributes: Mapping[str, str] | None = None,
    platform: Platform | None = None,
    clock: Clock | None = None,
    chance: Chance | None = None,
    policy: Policy | None = None,
    in_process: bool = False,
) -> Parts:
    """Return the parts of an agent with these *settings*. Nothing is read or written yet.

    *in_process*: unpack in this process instead of a child of low priority.
    """
    platform = platform or current_platform()
    clock = clock or SystemClock()
    chance = chance or SystemChance()
    schedule = Schedule(unsafe_speed=settings.unsafe_speed)
    installation = Installation(
        settings.root,
        platform,
        clock,
        crash_exit_codes=settings.crash.crash_exit_codes,
        in_process=in_process or settings.in_process,
        hard_links=settings.policy.hard_links,
    )
    spool = Spool(installation.spool, platform, clock)
    bases = (settings.app.base, *settings.network.mirrors)

    def token_for(version: Version) -> str | None:
        try:
            return installation.state.read().tokens.get(str(version))
        except OSError:  # an event that has no token gets its version's when it is sent
            return None

    return Parts(
        settings=settings,
        installation=installation,
        platform=platform,
        clock=clock,
        chance=chance,
        schedule=schedule,
        trust=Trust(settings.app, installation.trust, bases, platform),
        downloader=Downloader(
            installation.parts,
            platform,
            clock,
            chance,
            schedule,
            Mirrors(installation.trust, clock),
            max_bytes_per_second=settings.network.max_bytes_per_second,
        ),
        spool=spool,
        reporter=Reporter(
            spool,
            clock,
            chance,
            token_for,
            settings.telemetry,
            messages=settings.crash.messages,
            metrics=settings.metrics,
        ),
        sender=Sender(spool, settings.app.base, settings.metrics),
        identities=Identities(settings.root, platform, chance),
        policy=policy or DefaultPolicy(settings.policy, platform, clock),
        postponed=PostponedFile(settings.root, platform),
        minidumps=Minidumps(settings.root, settings.crash.minidump_dirs, platform, clock),
        attributes=system_attributes() if attributes is None else attributes,
        hooks=hooks or Hooks(),
    )
