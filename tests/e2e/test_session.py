"""The road as outsiders see it: curl against a real server, and people who watch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running import LINUX, Server, an_id

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-server")]

_CURL_SESSION = Path(__file__).parents[2] / "examples" / "curl-session.sh"
_SEEN_WITHIN_SECONDS = 2.0


def wait_for(server: Server, step: str, count: int) -> dict[str, dict[str, int]]:
    """Return the funnel once *step* counts *count* installs, or as it is after half a minute.

    A killed leader keeps its lease for ten seconds; only then does the next one count.
    """
    until = time.monotonic() + 30
    while True:
        funnel: dict[str, dict[str, int]] = server.serinus("rollout", "show")["funnel"]
        if sum(funnel[step].values()) >= count or time.monotonic() > until:
            return funnel
        time.sleep(0.2)


def open_to_all(server: Server, version: str) -> None:
    server.start_rollout(version, "--ring", "all")
    server.wait_until_offered(version)


def test_a_session_with_curl_alone_is_counted(server: Server) -> None:
    version = server.new_version()
    server.publish(version)
    open_to_all(server, version)

    done = subprocess.run(
        [str(_CURL_SESSION), server.agents_url, "1.0.0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    funnel = wait_for(server, "healthy", 1)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "digest as signed" in done.stdout
    steps = ("offered", "downloaded", "verified", "applied", "launched", "healthy")
    # The install that waited for the offer is counted as offered as well.
    assert [sum(funnel[step].values()) for step in steps] == [2, 1, 1, 1, 1, 1]
    assert sum(funnel["failed"].values()) == 0


def test_the_same_event_sent_twice_counts_once_and_is_there_after_a_kill(server: Server) -> None:
    version = server.new_version()
    server.publish(version)
    open_to_all(server, version)
    install_id = an_id()
    token = server.check_in(install_id)["token"]
    event = {
        "id": an_id(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kind": "update",
        "from": "1.0.0",
        "to": version,
        "phase": "downloaded",
    }
    report = {"install_id": install_id, "token": token, "events": [event]}

    first = server.post("/events", report)
    server.kill()
    server.start()
    second = server.post("/events", report)
    funnel = wait_for(server, "downloaded", 1)

    assert first == second == (202, {"accepted": 1, "rejected": []})
    assert sum(funnel["downloaded"].values()) == 1


def test_every_verb_is_seen_by_who_watches_within_two_seconds(server: Server) -> None:
    version = server.new_version()
    with subprocess.Popen(
        [sys.executable, "-m", "update_server.cli.main", "rollout", "watch", "--json"],
        cwd=server.folder,
        env=server.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as watcher:
        assert watcher.stdout is not None
        try:
            acts: list[tuple[Callable[[], object], str, dict[str, object]]] = [
                (
                    lambda: server.publish(version),
                    f"release {version} stable",
                    {"platforms": [LINUX]},
                ),
                (
                    lambda: server.serinus("rollout", "start", version),
                    f"rollout {version} stable",
                    {"ring": "internal"},
                ),
                (
                    lambda: server.serinus("rollout", "promote", "--yes"),
                    f"rollout {version} stable",
                    {"ring": "1%"},
                ),
                (
                    lambda: server.serinus("rollout", "pause"),
                    f"rollout {version} stable",
                    {"state": "paused"},
                ),
                (
                    lambda: server.serinus("rollout", "resume", "--yes"),
                    f"rollout {version} stable",
                    {"state": "active"},
                ),
                (
                    lambda: server.serinus("rollout", "pull", "--confirm", version),
                    f"rollout {version} stable",
                    {"state": "pulled"},
                ),
            ]
            for act, what, change in acts:
                act()
                done_at = time.monotonic()
                for line in watcher.stdout:
                    seen = json.loads(line)
                    if seen["what"] == what and change.items() <= seen.items():
                        break
                assert time.monotonic() - done_at < _SEEN_WITHIN_SECONDS, change
        finally:
            watcher.terminate()
