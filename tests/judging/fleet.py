"""A virtual fleet: installs that check in and report over HTTP, as a plain load of their own make.

Nothing is installed anywhere: an install is an ID, an address, a version, and how it behaves.
Time is real and short; the ladder's ``unsafe_speed`` makes hours of it.
"""

from __future__ import annotations

import heapq
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from tests.e2e.running import APP

LINUX = "linux-x86_64"
WINDOWS = "windows-x86_64"
OLD = "1.0.0"
NEW = "1.1.0"

_CLIENTS = 6
_STEPS = ("downloaded", "verified", "staged", "applied", "launched", "healthy")


@dataclass(slots=True)
class Install:
    """One install. ``address`` is where its requests come from, as our proxy writes it down."""

    number: int
    id: str
    platform: str
    address: str
    version: str = OLD
    dead: bool = False
    offered: bool = False
    crashed: bool = False
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How installs behave, by chance, at every visit.

    ``crashes`` is the probability of a crash on a version and platform; ``away`` that of being
    away for ``away_seconds`` after a check-in, without another word. On ``bricks`` an install
    never says anything again once it was offered that version.
    """

    period: float
    away_seconds: float
    crashes: Callable[[Install], float] = lambda _: 0.0
    away: float = 0.15
    bricks: str | None = None


def at(*crashes: float, platform: str | None = None) -> Callable[[Install], float]:
    """Return the crash probability on the old version, and on the new one (of *platform*)."""
    old, new = crashes

    def probability(install: Install) -> float:
        worse = install.version == NEW and platform in {None, install.platform}
        return new if worse else old

    return probability


def make_installs(
    count: int, *, seed: int, platforms: Sequence[str] = (LINUX,), first: int = 0
) -> list[Install]:
    """Return installs, each in a network of its own, spread over *platforms*."""
    draw = random.Random(seed)
    return [
        Install(
            number=number,
            id=str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            platform=platforms[number % len(platforms)],
            address=f"{100 + number // 65_536}.{number // 256 % 256}.{number % 256}.7",
        )
        for number in range(first, first + count)
    ]


class Link:
    """One kept-alive connection to the public app."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, document: Mapping[str, Any], address: str) -> dict[str, Any]:
        """POST on behalf of a client at *address*; a connection that broke is made anew."""
        body = json.dumps(document)
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        for attempt in (1, 2, 3):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=20)
            try:
                self._connection.request("POST", f"/v1/apps/{APP}{path}", body, headers)
                with self._connection.getresponse() as response:
                    answer = response.read()
                    if response.status < 300:
                        told: dict[str, Any] = json.loads(answer)
                        return told
                    assert response.status == 503, (response.status, answer)
            except (OSError, http.client.HTTPException):
                if attempt == 3:
                    raise
                self.close()
            time.sleep(0.1)
        raise AssertionError(f"{path} is not answered")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def check_in(link: Link, install: Install) -> str | None:
    """Check in, and return the version that the install is to run now, if it is another one."""
    told = link.post(
        "/check-in",
        {
            "install_id": install.id,
            "version": install.version,
            "channel": "stable",
            "platform": install.platform,
        },
        install.address,
    )
    install.token = told["token"]
    assignment = told["assignment"]
    return assignment["version"] if assignment["action"] != "stay" else None


def report(link: Link, install: Install, events: Sequence[Mapping[str, Any]]) -> None:
    """Send events as they are; each is to be accepted."""
    document = {"install_id": install.id, "token": install.token, "events": events}
    told = link.post("/events", document, install.address)
    assert told["accepted"] == len(events), told


def an_event(kind: str, **fields: Any) -> dict[str, Any]:
    happened = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"id": str(uuid.uuid4()), "at": happened, "kind": kind, **fields}


def a_crash(version: str, where: str = "load") -> dict[str, Any]:
    frames = [{"module": "notes.store", "function": where, "file": "store.py", "line": 7}]
    return an_event("crash", version=version, exception={"type": "ValueError"}, frames=frames)


def steps(old: str, new: str) -> list[dict[str, Any]]:
    """Return the events of an update that went well."""
    return [
        {**an_event("update"), "from": old, "to": new, "phase": phase, "source": "agent"}
        for phase in _STEPS
    ]


def introduce(address: str, installs: Sequence[Install], visits: int = 2) -> None:
    """Let every install check in so often: how often is usual for it is known from two on."""

    def client(some: Sequence[Install]) -> None:
        link = Link(address)
        for _ in range(visits):
            for install in some:
                check_in(link, install)
        link.close()

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(client, [installs[number::_CLIENTS] for number in range(_CLIENTS)]))


@dataclass
class Fleet:
    """Installs that visit the server again and again while the block runs."""

    address: str
    installs: Sequence[Install]
    manners: Manners
    seed: int = 1
    arrive_within: float | None = None  # seconds of the first visits; else a period
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(number,)) for number in range(_CLIENTS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise AssertionError(f"a client of the fleet failed: {self.errors[0]!r}")

    def _guarded(self, number: int) -> None:
        link = Link(self.address)
        try:
            self._client(link, number)
        except BaseException as error:  # noqa: BLE001 - told when the block ends
            self.errors.append(error)
        finally:
            link.close()

    def _client(self, link: Link, number: int) -> None:
        draw = random.Random(self.seed * 1_000 + number)
        began = time.monotonic()
        spread = self.arrive_within or self.manners.period
        due = [
            (began + draw.random() * spread, install.number, install)
            for install in self.installs[number::_CLIENTS]
        ]
        heapq.heapify(due)
        while due and not self._stop.is_set():
            at, _, install = due[0]
            if (wait := at - time.monotonic()) > 0:
                self._stop.wait(wait)
                continue
            pause = self._visit(link, install, draw)
            if pause is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (time.monotonic() + pause, install.number, install))

    def _visit(self, link: Link, install: Install, draw: random.Random) -> float | None:
        """Make one visit; return after how many seconds the next one is due, None for never."""
        manners = self.manners
        version = check_in(link, install)
        self.counts["check-ins"] += 1
        if version is not None and version == manners.bricks:
            install.dead = True
            self.counts["bricked"] += 1
            return None
        if draw.random() < manners.away:
            return manners.away_seconds
        events = []
        if version is not None:
            events += steps(install.version, version)
            install.version = version
        if draw.random() < manners.crashes(install):
            events.append(a_crash(install.version))
            install.crashed = True
            self.counts["crashes"] += 1
        if events:
            report(link, install, events)
        return manners.period * (0.9 + 0.2 * draw.random())
