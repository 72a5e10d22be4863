"""Secrets in every field of what programs send are nowhere in what the server keeps or tells."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import APP, an_id, offspring
from tests.intake.capture_server import CaptureServer, a_capture_server
from tests.intake.fleet import OLD, Fleet, Program, a_fleet, key_of, wait_until
from tests.intake.node import NodeMissingError, sdk_folder
from tests.intake.record import PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake-secrets"), pytest.mark.timeout(300)]

SECRET = "zq7hunter2canary93"
ADDRESS = "203.0.113.77"
FORBIDDEN = (SECRET.encode(), SECRET.encode("utf-16-le"), ADDRESS.encode())
KEPT = b"CanaryError"
"""A type of error. It is kept: where it is found, secrets would have been found too."""


@pytest.fixture(scope="module")
def webhooks() -> Iterator[CaptureServer]:
    with a_capture_server() as webhooks:
        yield webhooks


@pytest.fixture(scope="module")
def fleet(webhooks: CaptureServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret").write_text(f"whsec_{base64.b64encode(bytes(32)).decode()}")
    settings = f"""
[[notify]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:{webhooks.port}/hook"
secret_files = ["{folder / "secret"}"]
allow_private = ["127.0.0.1"]
"""
    with a_fleet(folder, settings=settings) as fleet:
        fleet.let_keep_messages()
        yield fleet


@contextlib.contextmanager
def without_digest(fleet: Fleet) -> Iterator[None]:
    """Hold the controller, so that all that comes stays in the spool."""
    assert fleet.server.process is not None
    (controller,) = (
        pid
        for pid in offspring(fleet.server.process.pid)
        if b"processes\0controller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(controller, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(controller, signal.SIGCONT)


def run(program: Program, command: list[str], **environment: str) -> None:
    """Run a program that is given the secret, and fails in the end."""
    done = subprocess.run(
        [*command, f"notes@{program.version}", SECRET],
        env={**os.environ, **environment, "SENTRY_DSN": program.dsn},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1


def send_own_events(fleet: Fleet) -> str:
    """Report a crash, a session, a step and a number, with the secret wherever a text fits."""
    install_id = an_id()
    token = fleet.server.check_in(install_id, OLD)["token"]
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "at": at,
            "kind": kind,
            "version": OLD,
            "note": SECRET,
            "user": {"email": f"{SECRET}@example.org"},
            **fields,
        }

    frame = {
        "module": "notes",
        "function": "boom",
        "file": f"/home/{SECRET}/notes.py",
        "line": 3,
        "vars": {"password": SECRET},
        "context_line": f"login({SECRET!r})",
    }
    message = f"password={SECRET}, token: {SECRET}, https://x:{SECRET}@example.org/?q={SECRET}"
    events = [
        event("crash", exception={"type": "CanaryError", "message": message}, frames=[frame]),
        event("crash", exception={"type": "CanaryError", "message": f"{SECRET}@example.org"}),
        event("session", sid=str(uuid.uuid4()), status="exited", started=at, cause=SECRET),
        event("metric", name="startup_ms", value=1.0),
        event("metric", name=f"password={SECRET}", value=1.0),
        event("update", **{"from": OLD, "to": OLD, "phase": "failed"}, error={"category": SECRET}),
    ]
    status, _ = fleet.server.post(
        "/events", {"install_id": install_id, "token": token, "events": events, "extra": SECRET}
    )
    assert status in {202, 400}
    return str(install_id)


def send_dump(fleet: Fleet, program: Program) -> None:
    """Upload what is no dump, in a form with the secret in every field."""
    boundary = "a-boundary"
    fields = {"_version": OLD, "guid": SECRET, "comments": SECRET, SECRET: SECRET, "prod": SECRET}
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    file = (
        f"--{boundary}\r\nContent-Disposition: form-data; "
        f'name="upload_file_minidump"; filename="{SECRET}.dmp"\r\n\r\nMDMP{SECRET}'
    )
    request = urllib.request.Request(
        f"http://{fleet.server.public}/api/1/minidump/{key_of(program.dsn)}?guid={SECRET}",
        data=f"{''.join(parts)}{file}\r\n--{boundary}--\r\n".encode(),
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "User-Agent": SECRET,
            "X-Forwarded-For": ADDRESS,
            "Cookie": f"session={SECRET}",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def files_of(fleet: Fleet) -> Iterator[tuple[str, bytes]]:
    """Yield what the server has on its disk: database, spool, files and log."""
    for path in fleet.server.folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield str(path), path.read_bytes()
    assert fleet.server.log is not None
    yield "log", fleet.server.log.read_bytes()


def answers_of(fleet: Fleet) -> Iterator[tuple[str, bytes]]:
    """Yield what people are shown of the app."""
    below = f"/v1/admin/apps/{APP}"
    crashes = [each["signature"] for each in fleet.admin("/crashes")["items"]]
    for path in (
        "/metrics",
        "/v1/admin/notifications",
        "/v1/admin/alerts",
        f"{below}/audit",
        f"{below}/crashes",
        *(f"{below}/crashes/{signature}" for signature in crashes),
        f"{below}/fleet",
        f"{below}/quarantine",
        f"{below}/rollouts",
        f"{below}/rollouts/{fleet.rollout}",
        f"{below}/rollouts/{fleet.rollout}/decisions",
        f"{below}/settings",
        f"{below}/telemetry",
        f"{below}/versions",
    ):
        yield path, fleet.get(path)


def leaks(places: Iterator[tuple[str, bytes]], forbidden: tuple[bytes, ...]) -> list[str]:
    return [
        f"{place}: {data[max(0, at - 60) : at + 60]!r}"
        for place, data in places
        for secret in forbidden
        if (at := data.find(secret)) >= 0
    ]


@pytest.fixture
def modules() -> Path | None:
    """Where Node finds its SDK. Without Node the secrets of the other programs are sent."""
    try:
        return sdk_folder()
    except NodeMissingError:
        return None


def test_no_secret_that_a_program_sends_is_kept_or_told(
    fleet: Fleet, webhooks: CaptureServer, modules: Path | None
) -> None:
    python, javascript = fleet.control(), fleet.control()
    before = fleet.numbers()

    with without_digest(fleet):
        run(python, [sys.executable, str(PROGRAMS / "python_secrets.py")])
        if modules is not None:
            command = ["node", str(PROGRAMS / "node_secrets.js")]
            run(javascript, command, NODE_PATH=str(modules))
        install_id = send_own_events(fleet)
        send_dump(fleet, python)
        # A dump waits in whole until it is read, which is all that becomes of it.
        in_the_spool = [each for each in files_of(fleet) if not each[0].endswith(".dump")]

    def crashes() -> int:
        return sum(fleet.numbers().since(before).crashes.values())

    # The last error of each SDK, and of Node's its session; two own events; and the dump.
    expected = 4 if modules is None else 6
    wait_until(lambda: crashes() == expected, lambda: str(fleet.numbers().since(before)))
    fleet.server.serinus("rollout", "pause", "1.1.0", "--reason", "a test", "--yes")
    wait_until(lambda: bool(webhooks.requests))
    told = [("webhook", json.dumps(one.headers).encode() + one.body) for one in webhooks.requests]
    keys = tuple(key_of(one.dsn).encode() for one in (python, javascript))
    names = (*FORBIDDEN, *keys, install_id.encode())

    for places in (in_the_spool, list(files_of(fleet)), list(answers_of(fleet)), told):
        assert leaks(iter(places), names) == []
    assert leaks(iter(in_the_spool), (KEPT,))
    assert leaks(files_of(fleet), (KEPT,))
    assert leaks(answers_of(fleet), (KEPT,))
