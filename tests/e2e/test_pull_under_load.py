"""After `pull` has returned, nobody is told to install that release. Counted under load."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.running import APP, LINUX, Server, a_server, an_id

pytestmark = pytest.mark.e2e

_CLIENTS = 6
_AFTER_SECONDS = 3.0


class Load:
    """Clients that check in without pause and note when they were told what."""

    def __init__(self, server: Server) -> None:
        self._address = server.public
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client) for _ in range(_CLIENTS)]
        self.answers: list[tuple[float, str, str | None]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        while not self._stop.is_set():
            link = http.client.HTTPConnection(self._address, timeout=10)
            # A new connection now and then reaches the other workers as well.
            for _ in range(20):
                body = json.dumps(
                    {
                        "install_id": an_id(),
                        "version": "1.0.0",
                        "channel": "stable",
                        "platform": LINUX,
                    }
                )
                link.request("POST", f"/v1/apps/{APP}/check-in", body)
                assignment = json.load(link.getresponse())["assignment"]
                told = (time.monotonic(), assignment["reason"], assignment["version"])
                self.answers.append(told)
            link.close()


def test_no_check_in_is_answered_with_a_release_after_its_pull_returned(
    workspace: Path, tmp_path: Path
) -> None:
    with a_server(workspace, tmp_path / "updates", workers=4) as server:
        server.publish("1.1.0")
        server.serinus("rollout", "start", "1.1.0", "--ring", "all", "--reason", "test")
        with Load(server) as load:
            while sum(version == "1.1.0" for *_, version in load.answers) <= 100:
                time.sleep(0.05)
            server.serinus("rollout", "pull", "--confirm", "1.1.0")
            returned_at = time.monotonic()
            time.sleep(_AFTER_SECONDS)

    before = [version for at, _, version in load.answers if at <= returned_at]
    after = [(reason, version) for at, reason, version in load.answers if at > returned_at]
    assert before.count("1.1.0") > 100
    assert len(after) > 100
    assert [version for _, version in after if version == "1.1.0"] == []
    # A worker that the load kept from looking in time says so; it offers nothing either.
    assert set(Counter(reason for reason, _ in after)) <= {"pulled", "stale_server"}
