"""Web workers and the digest are killed under load: what was acknowledged is counted, and once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.running import an_id, offspring
from tests.intake.fleet import OLD, Fleet, a_fleet, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake-kills"), pytest.mark.timeout(300)]

KILLS = 10
CLIENTS = 12
PAUSE_SECONDS = 0.15
"""Between two reports of one client. None may send more than marks are kept of."""

BETWEEN_KILLS_SECONDS = 1.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with a_fleet(tmp_path_factory.mktemp("kills"), workers=2) as fleet:
        yield fleet


@dataclass
class Client:
    """An install's program, which sends each report again until it is acknowledged."""

    address: str
    token: str
    crashes: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    again: int = 0

    def run(self, done: threading.Event) -> None:
        while not done.wait(PAUSE_SECONDS):
            crash, session = uuid.uuid4().hex, uuid.uuid4().hex
            self._send(crash, "event", an_event(crash))
            self.crashes.add(crash)
            self._send(None, "session", a_session(session))
            self.sessions.add(session)

    def _send(self, event_id: str | None, kind: str, item: dict[str, object]) -> None:
        header = {} if event_id is None else {"event_id": event_id}
        body = "\n".join(json.dumps(line) for line in (header, {"type": kind}, item))
        while not self._is_taken(body.encode()):
            self.again += 1
            time.sleep(0.05)

    def _is_taken(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("POST", f"/api/1/envelope/?sentry_key={self.token}", body)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return False
        assert answer.status in {200, 503}
        return answer.status == 200


def an_event(event_id: str) -> dict[str, object]:
    frames = [{"function": "boom", "module": "notes", "in_app": True}]
    exception = {
        "type": "LoadError",
        "mechanism": {"type": "excepthook", "handled": False},
        "stacktrace": {"frames": frames},
    }
    return {
        "event_id": event_id,
        "platform": "python",
        "release": f"notes@{OLD}",
        "timestamp": time.time(),
        "exception": {"values": [exception]},
    }


def a_session(sid: str) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    attrs = {"release": f"notes@{OLD}"}
    return {"sid": sid, "init": True, "status": "exited", "started": now, "attrs": attrs}


def processes(fleet: Fleet, role: str) -> list[int]:
    """Return the server's processes of this role, the first of them first."""
    assert fleet.server.process is not None
    found = []
    for pid in offspring(fleet.server.process.pid):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if f"update_server.processes\0{role}".encode() in line:
                found.append(pid)
    return found


def web_workers(fleet: Fleet) -> list[int]:
    """Return the processes that answer the public app: workers of the one that watches them."""
    return processes(fleet, "public")[1:]


def controllers(fleet: Fleet) -> list[int]:
    """Return the process that digests."""
    return processes(fleet, "controller")[:1]


def kill_another(find: Callable[[], list[int]], killed: set[int]) -> None:
    """Kill one of those that *find* finds, once there is one that was not *killed* before."""
    wait_until(lambda: set(find()) - killed != set())
    victim = min(set(find()) - killed)
    os.kill(victim, signal.SIGKILL)
    killed.add(victim)


def test_what_was_acknowledged_is_counted_once_whatever_is_killed(fleet: Fleet) -> None:
    tokens = [fleet.server.check_in(an_id(), OLD)["token"] for _ in range(CLIENTS)]
    clients = [Client(fleet.server.public, token) for token in tokens]
    before = fleet.numbers()
    done = threading.Event()
    threads = [threading.Thread(target=client.run, args=(done,)) for client in clients]

    def counted() -> tuple[int, int]:
        new = fleet.numbers().since(before)
        return sum(new.crashes.values()), sum(new.sessions.values())

    for thread in threads:
        thread.start()
    killed: set[int] = set()
    digests: set[int] = set()
    seen = [(0, 0)]
    try:
        for _ in range(KILLS):
            time.sleep(BETWEEN_KILLS_SECONDS)
            kill_another(lambda: web_workers(fleet), killed)
            if counted() > seen[-1]:
                kill_another(lambda: controllers(fleet), digests)  # while it digests
                seen.append(counted())
    finally:
        done.set()
        for thread in threads:
            thread.join()

    crashes = sum(len(client.crashes) for client in clients)
    sessions = sum(len(client.sessions) for client in clients)
    assert len(killed) == KILLS
    assert digests
    assert sum(client.again for client in clients) > 0  # the kills were felt
    wait_until(lambda: counted() == (crashes, sessions), lambda: f"{counted()}, {crashes}")
    time.sleep(1.2)
    assert counted() == (crashes, sessions)
