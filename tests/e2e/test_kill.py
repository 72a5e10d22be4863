"""A server killed at any moment of a publication or a verb, and started again, is whole."""

from __future__ import annotations

import random
import subprocess
import threading

import pytest

from tests.e2e.running import CommandFailedError, Server, an_id

pytestmark = pytest.mark.e2e

_ROUNDS = 2


def act_and_kill(server: Server, seconds: float, *arguments: str) -> bool:
    """Run a command, kill the server after *seconds*; return whether the command succeeded."""
    killer = threading.Timer(seconds, server.kill)
    killer.start()
    try:
        server.serinus(*arguments)
    except (CommandFailedError, subprocess.TimeoutExpired):
        succeeded = False
    else:
        succeeded = True
    killer.join()
    server.start()
    return succeeded


def check(server: Server) -> None:
    """Everything agrees, and agents can verify all there is."""
    # This waits for the lease of the killed process, which runs out after ten seconds.
    server.serinus("rollout", "pause", "1.1.0", allowed=(0, 3))
    assert server.serinus("fsck")["ok"]
    assert server.serinus("release", "verify", "--url", server.agents_url)["ok"]


def test_a_killed_server_goes_on_where_it_was(server: Server) -> None:
    draw = random.Random(20261125)
    server.publish("1.0.0")
    server.publish("1.1.0", "--rollback-to", "1.0.0")
    server.serinus("rollout", "start", "1.0.0", "--ring", "all", "--reason", "test")
    server.serinus("rollout", "start", "1.1.0")
    for _ in range(_ROUNDS):
        # A command takes about a second before it asks the server for anything.
        act_and_kill(server, 0.7 + draw.random(), "rollout", "promote", "1.1.0", "--yes")
        check(server)
        server.serinus("rollout", "resume", "1.1.0", "--yes")
        server.wait_until_told(lambda told: told["reason"] in {"in_ring", "outside_ring"})


def test_a_pull_that_was_killed_is_finished_or_was_never_begun(server: Server) -> None:
    server.publish("1.0.0")
    server.publish("1.1.0", "--rollback-to", "1.0.0")
    server.serinus("rollout", "start", "1.0.0", "--ring", "all", "--reason", "test")
    server.serinus("rollout", "start", "1.1.0", "--ring", "all", "--reason", "test")

    act_and_kill(server, 1.1, "rollout", "pull", "1.1.0", "--confirm", "1.1.0")
    server.serinus("rollout", "pull", "1.1.0", "--confirm", "1.1.0", allowed=(0, 3))

    told = server.check_in(an_id(), "1.1.0")["assignment"]
    assert (told["action"], told["version"]) == ("rollback", "1.0.0")
    assert server.serinus("fsck")["ok"]
