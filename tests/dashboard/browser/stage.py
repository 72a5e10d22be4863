"""A release that was played out: told over HTTP by a fleet, judged, and paused by the judge.

``demo`` 2.3.9 runs everywhere. 2.4.0 goes to the staff, then to 10 %, where it crashes. What
attackers may write is in all that they may write: crash reports, reasons, a hold's title.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

from rollout.model import Audience, Rollout, Step
from tests.admin_world import APP, STABLE, World, a_registered_world
from tests.cli.cli_world import running
from tests.dashboard.visitors import PASSWORD, PEOPLE
from tests.envelopes import an_envelope, an_event, an_item
from tests.service.clinic import work
from update_server.evidence.settings import May, Settings
from update_server.service.access.caller import Caller
from update_server.service.access.sign_in import SignedIn
from update_server.service.agents.refresh import Refresher
from update_server.service.agents.table import Tables
from update_server.service.ports import Role
from update_server.service.rollouts.version_days import DayCounter
from update_server.service.studies.carry_out import Executor
from update_server.service.studies.judge import Judge
from update_server.service.telemetry.digest import Digest
from update_server.web.admin.app import create_app
from update_server.web.public.app import create_app as create_public_app
from update_server.web.public.proxies import Proxies
from update_server.web.public.services import public_services
from update_server.web.wire import render_time

OLD, NEW = "2.3.9", "2.4.0"
LINUX, WINDOWS = "linux-x86_64", "windows-x86_64"
LEASE_SECONDS = 2
INSTALLS = 400
LADDER = (
    Step(ring="internal", soak_seconds=3_600),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=3_600),
    Step(ring="all", exposure_bp=10_000),
)
TERMS = Settings(
    minimum_age_seconds=0,
    minimum_check_ins=0,
    automatic=frozenset({May.PAUSE}),
)
PLANTED = "planted"
HOSTILE = (
    f"<script>window.{PLANTED}=1;document.title='{PLANTED}'</script>"
    f"<img src=x onerror=window.{PLANTED}=1 class={PLANTED}>"
    f"<b class={PLANTED} hx-get=/sign-out hx-trigger=load hx-on:load='{PLANTED}=1'>b</b>"
    f"\"' onfocus=window.{PLANTED}=1 autofocus class='{PLANTED}' x=\""
    "</title></svg></pre></details></main>{{ 7 * 7 }}\u202e\u2066\u0000\u0007\u200b"
)
HOSTILE_TITLE = HOSTILE.replace("\u0000", "").replace("\u0007", "")[:100]
LONG = "l" * 10_000
STAFF = 12
HASTY = 10
"""Of the tenth, those that update before others do."""
_CRASH = ("ValueError", "render.gpu", "flush")
_OTHER = ("KeyError", "notes.store", "load")
_STEPS = ("offered", "downloaded", "verified", "staged", "applied", "launched", "healthy")
_ROOT = Caller(name="test", token_id="")


@dataclass(kw_only=True)
class Install:
    """One install, in a network of its own."""

    number: int
    version: str = OLD
    platform: str = LINUX
    token: str = ""
    offered: bool = False
    enrolments: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(uuid.UUID(int=self.number * 0x9E37_79B9_7F4A_7C15 + 1, version=4))

    @property
    def address(self) -> str:
        return f"100.{self.number // 256}.{self.number % 256}.7"


@dataclass(kw_only=True)
class Stage:
    """The server, its fleet, and its one rollout. ``fork`` it before changing anything."""

    world: World
    spool: str = "web-1"
    installs: list[Install] = field(default_factory=list)
    told: int = 0
    log: list[str] = field(default_factory=list)
    rollout: Rollout = field(init=False)

    # --- the server ----------------------------------------------------------------------

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.world.clock, LEASE_SECONDS)

    @cached_property
    def public(self) -> Client:
        """What agents speak to."""
        services = public_services(
            tables=self.tables,
            database=self.world.database,
            blobs=self.world.blobs,
            spool=self.world.spools.writer(self.spool),
            dumps=self.world.dumps,
            clock=self.world.clock,
            ids=self.world.ids,
            next_check_in_seconds=3_600,
            proxies=Proxies(("127.0.0.1",)),
        )
        self.refresh()
        return Client(create_public_app(services))

    @property
    def now(self) -> Rollout:
        """The rollout as it stands."""
        return self.world.rollout(self.rollout)

    def refresh(self) -> None:
        """Let check-ins know what is in force."""
        Refresher(self.world.database, self.tables, self.world.clock).refresh()

    def round(self) -> None:
        """Digest, judge and carry out, as the controller does."""
        began_at = self.world.clock.now()
        Digest(self.world.database, self.world.spools, clock=self.world.clock).run()
        services = self.world.services()
        executor = Executor(
            self.world.database,
            self.world.clock,
            control=services.control,
            holds=services.holds,
            log=self.log.append,
        )
        work(Judge(self.world.database, executor), began_at)
        self.world.recount()
        counter = DayCounter(self.world.database, self.world.clock)
        while counter.step():
            pass

    def pass_time(self, hours: float, rounds: int = 1) -> None:
        """Let the controller work, and time pass."""
        self.round()
        for _ in range(rounds):
            self.world.advance(hours * 3_600 / rounds)
            self.round()
            self.refresh()

    def fork(self, folder: Path) -> Stage:
        """Return a copy that shares nothing with this one."""
        other = Stage(
            world=self.world.fork(folder),
            told=self.told,
            spool=f"{self.spool}-again",  # where the first one was read to is known
            installs=[replace(each) for each in self.installs],
        )
        other.rollout = self.rollout
        return other

    def api(self, path: str) -> dict[str, Any]:
        """Return what the API answers to somebody who may look."""
        secret = self.world.caller(Role.VIEWER).secret
        client = create_app(self.world.services()).test_client()
        answer = client.get(
            f"/v1/admin/apps/{APP}{path}", headers={"Authorization": f"Bearer {secret}"}
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json or {}
        return told

    # --- the fleet -----------------------------------------------------------------------

    def post(self, path: str, document: Mapping[str, Any], install: Install) -> dict[str, Any]:
        """Send what an agent sends."""
        answer = self.public.post(
            f"/v1/apps/{APP}{path}",
            json=document,
            headers={"X-Forwarded-For": install.address},
            environ_base={"REMOTE_ADDR": "127.0.0.1"},
        )
        assert answer.status_code in {200, 202}, answer.text
        told: dict[str, Any] = answer.json or {}
        return told

    def check_in(self, installs: Iterable[Install], **more: Any) -> list[Install]:
        """Let installs check in; return those that are to run another version."""
        self.refresh()
        moved = []
        for install in installs:
            told = self.post(
                "/check-in",
                {
                    "install_id": install.id,
                    "version": install.version,
                    "channel": STABLE,
                    "platform": install.platform,
                    "enrolments": install.enrolments,
                    **more,
                },
                install,
            )
            install.token = told["token"]
            if told["assignment"]["action"] != "stay":
                install.offered = True
                moved.append(install)
        return moved

    def update(self, installs: Iterable[Install], version: str = NEW) -> None:
        """Let installs come by a version, step by step, and run it."""
        for install in installs:
            self.tell(
                install,
                *(
                    {**self.event("update"), "from": install.version, "to": version, "phase": step}
                    for step in _STEPS
                ),
            )
            install.version = version
            self.session(install)

    def session(self, install: Install, status: str = "exited") -> None:
        """Tell that the app ran for an hour."""
        told = {"sid": str(uuid.UUID(int=self._number())), "status": status}
        self.tell(
            install,
            {**self.event("session"), "version": install.version, "duration_seconds": 60, **told},
        )

    def crash(self, installs: Iterable[Install], crash: tuple[str, str, str] = _CRASH) -> None:
        """Let the app crash."""
        kind, module, function = crash
        for install in installs:
            frame = {"module": module, "function": function, "file": f"{module}.py", "line": 7}
            self.tell(
                install,
                {
                    **self.event("crash"),
                    "version": install.version,
                    "exception": {"type": kind},
                    "frames": [frame],
                },
            )

    def tell(self, install: Install, *events: Mapping[str, Any]) -> None:
        """Send events as they are; each is to be accepted."""
        document = {"install_id": install.id, "token": install.token, "events": events}
        told = self.post("/events", document, install)
        assert told["accepted"] == len(events), told

    def sdk_crash(self, install: Install, **fields: Any) -> None:
        """Send a crash as an SDK does, with whatever it says."""
        known = {
            "event_id": f"{self._number():032x}",
            "timestamp": self.at,
            "release": f"{APP}@{install.version}",
        }
        self.envelope(install, an_event(**{**known, **fields}), event_id=known["event_id"])

    def envelope(self, install: Install, *items: bytes, event_id: str | None = None) -> None:
        """Send what an SDK sends."""
        answer = self.public.post(
            f"/api/1/envelope/?sentry_key={install.token}",
            data=an_envelope(*items, event_id=event_id),
            headers={"X-Forwarded-For": install.address},
            environ_base={"REMOTE_ADDR": "127.0.0.1"},
        )
        assert answer.status_code == 200, answer.text

    def event(self, kind: str) -> dict[str, Any]:
        """Return what every event has."""
        return {"id": str(uuid.UUID(int=self._number())), "at": self.at, "kind": kind}

    @property
    def at(self) -> str:
        """The present instant, as events tell it."""
        return render_time(self.world.clock.now())

    def _number(self) -> int:
        self.told += 1
        return self.told

    # --- what people do ------------------------------------------------------------------

    def enrol(self, installs: Iterable[Install]) -> None:
        """Let installs into the group of the first ring."""
        known = list(installs)
        groups, admin = self.world.services().groups, self.world.caller(Role.ADMIN)
        groups.add(admin, APP, "staff")
        _, code = groups.issue_code(admin, APP, "staff", len(known), 3_600)
        for install in known:
            told = self.post("/enrol", {"install_id": install.id, "code": code}, install)
            install.enrolments.append(told["credential"])

    def promote(self, reason: str = "") -> None:
        """Open the next ring."""
        caller = self.world.person("ana")
        self.rollout = self.world.services().control.promote(
            caller, APP, self.rollout.id, reason=reason
        )

    def take_in(self, names: Iterable[str] = PEOPLE) -> None:
        """Let people set their passwords."""
        services = self.world.services()
        for name in names:
            _, link = services.operators.add(_ROOT, name, *PEOPLE[name])
            services.own_password.set_by_link(link, PASSWORD)

    def secret_of(self, name: str) -> str:
        """Return what the cookie of somebody says who has just signed in."""
        known = self.world.services().sign_in.by_password(name, PASSWORD, "127.0.0.1")
        assert isinstance(known, SignedIn)
        return known.secret


def open_stage(folder: Path) -> Stage:
    """Return the stage while 2.4.0 rolls out to a tenth, and nothing is wrong with it yet."""
    world = a_registered_world(folder)
    world.publish(OLD)
    world.complete(OLD)
    world.change_policy(ramp=LADDER)
    world.publish(NEW, rollback_to=[OLD])
    stage = Stage(
        world=world,
        installs=[
            Install(number=number, platform=WINDOWS if number % 4 == 3 else LINUX)
            for number in range(1, INSTALLS + 1)
        ],
    )
    stage.take_in()
    _introduce(stage)
    _open_to_staff(stage)
    _open_to_a_tenth(stage)
    return stage


def _introduce(stage: Stage) -> None:
    """Let the fleet be known for a day."""
    for _ in range(2):
        stage.check_in(stage.installs)
        stage.pass_time(12)


def _open_to_staff(stage: Stage) -> None:
    staff = stage.installs[:STAFF]
    stage.refresh()
    stage.enrol(staff)
    stage.rollout = stage.world.start(NEW, terms=TERMS, reason="the release of December")
    stage.update(stage.check_in(staff))
    stage.pass_time(1)
    stage.check_in(staff)
    stage.pass_time(1)


def _open_to_a_tenth(stage: Stage) -> None:
    stage.promote(reason=HOSTILE)
    candidates = stage.check_in(stage.installs)
    controls = [each for each in stage.installs[STAFF:] if each not in candidates]
    stage.world.services().holds.add(
        stage.world.person("ben"),
        APP,
        STABLE,
        title=HOSTILE_TITLE,
        link="https://status.example.org/h1",
        audience=Audience(locale=("tr",)),
        reason=HOSTILE,
    )
    stage.pass_time(0.5)
    stage.update(candidates[:HASTY])
    stage.check_in(controls[:12], telemetry="off")
    _tell_what_is_not_taken(stage, controls[12:20])
    stage.pass_time(0.5)
    _hear_from(stage)


def sicken(stage: Stage) -> None:
    """Let a tenth crash, in ways that attackers describe as well; until the judge has enough."""
    candidates = [each for each in stage.installs[STAFF:] if each.offered]
    controls = [each for each in stage.installs[STAFF:] if not each.offered]
    stage.update(candidates[HASTY:])
    stage.crash(candidates[:3], (HOSTILE, HOSTILE, LONG))
    stage.sdk_crash(candidates[3], exception={"values": [_raised(HOSTILE)]})
    stage.pass_time(0.5)
    stage.crash(candidates[4:9])
    stage.crash(controls[12:16], _OTHER)
    stage.pass_time(0.5)
    stage.crash(candidates[9:20])
    stage.pass_time(0.5)
    _hear_from(stage)


def _tell_what_is_not_taken(stage: Stage, installs: Sequence[Install]) -> None:
    """Let reports be set aside and refused, and SDKs tell of what they dropped."""
    for install in installs[:4]:
        running, install.version = install.version, "9.9.9"
        stage.crash([install], (HOSTILE, HOSTILE, HOSTILE))
        install.version = running
    late = {**stage.event("crash"), "at": "2026-01-01T00:00:00Z", "version": OLD}
    document = {"install_id": installs[0].id, "token": installs[0].token, "events": [late]}
    assert stage.post("/events", document, installs[0])["accepted"] == 0
    dropped = {"reason": "queue_overflow", "category": "error", "quantity": 3}
    report = {"timestamp": stage.at, "discarded_events": [dropped]}
    stage.envelope(installs[1], an_item("client_report", report))


def _hear_from(stage: Stage) -> None:
    """Have newest data that are 40 seconds old."""
    stage.check_in(stage.installs[-5:])
    stage.pass_time(40 / 3_600)


def _raised(text: str) -> dict[str, Any]:
    frame = {"module": text, "function": text, "filename": text, "lineno": 1, "in_app": True}
    return {
        "type": text,
        "value": text,
        "mechanism": {"type": "excepthook", "handled": False},
        "stacktrace": {"frames": [frame, {**frame, "function": LONG}]},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stage, and where its pages are."""

    stage: Stage
    url: str


@contextmanager
def serving(stage: Stage) -> Iterator[Served]:
    """Serve the pages while the block runs."""

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    app = create_app(stage.world.services())
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    with running(server):
        yield Served(stage=stage, url=f"http://127.0.0.1:{server.server_port}")
