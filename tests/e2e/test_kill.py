"""A server killed in the middle of a publication or a verb, and started again, is whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running import APP, CommandFailedError, Server, an_id

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-server")]

_POLL_SECONDS = 0.001
_PATIENCE_SECONDS = 60.0

Moment = Callable[[], bool]


def files_of(server: Server) -> Path:
    """Return the folder that a file server would serve."""
    return server.folder / "server" / "files"


def bytes_came(server: Server) -> Moment:
    """The first bytes of an upload are there, or already all; nothing is submitted yet."""
    begun, came = (_grows(files_of(server) / name) for name in ("uploads", "blobs"))
    return lambda: begun() or came()


def metadata_came(server: Server) -> Moment:
    """The first file of a publication is written; the timestamp, its last, is not."""
    return _grows(files_of(server) / "apps" / APP / "tuf")


def timestamp_moved(server: Server) -> Moment:
    """The publication is visible; that it is so is not recorded yet, nor answered."""
    timestamp = files_of(server) / "apps" / APP / "tuf" / "timestamp.json"
    old = timestamp.read_bytes()
    return lambda: timestamp.read_bytes() != old


def _grows(folder: Path) -> Moment:
    old = set(folder.rglob("*"))
    return lambda: bool(set(folder.rglob("*")) - old)


def kill_at(server: Server, moment: Moment, *arguments: str) -> None:
    """Run a command, kill the server at the *moment* that comes of it, and start it again."""
    done, struck = threading.Event(), threading.Event()

    def strike() -> None:
        while not done.wait(_POLL_SECONDS):
            if moment():
                server.kill()
                struck.set()
                return

    killer = threading.Thread(target=strike)
    killer.start()
    try:
        server.serinus(*arguments)
    except CommandFailedError:
        killer.join(_PATIENCE_SECONDS)  # the command failed because the server was killed
    finally:
        done.set()
        killer.join()
    assert struck.is_set(), "the moment never came"
    server.start()


def check(server: Server) -> None:
    """All there is agrees, and an agent can verify it.

    What was begun is finished when the lease of the killed process runs out, ten seconds later.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (found := server.serinus("fsck", allowed=(0, 1)))["ok"]:
        assert {each["code"] for each in found["findings"]} == {"unpublished"}
        assert time.monotonic() < until, found
        time.sleep(3)  # looking is what costs
    assert server.serinus("release", "verify", "--url", server.agents_url)["ok"]


@pytest.mark.parametrize("moment", [bytes_came, metadata_came, timestamp_moved])
def test_a_publication_that_was_killed_can_be_made_again(
    server: Server, moment: Callable[[Server], Moment]
) -> None:
    version = server.new_version()
    release = server.release(version)

    kill_at(server, moment(server), *release)
    check(server)
    # Exit code 3: what was killed had been admitted, and the server finished it by itself.
    server.serinus(*release, allowed=(0, 3))

    published = [item["version"] for item in server.serinus("release", "list")["items"]]
    assert published.count(version) == 1
    server.start_rollout(version, "--ring", "all")
    server.wait_until_offered(version)
    check(server)


def test_verbs_that_were_killed_are_finished_or_were_never_begun(server: Server) -> None:
    old, new = server.new_version(), server.new_version()
    server.publish(old)
    server.publish(new, "--rollback-to", old)
    server.start_rollout(old, "--ring", "all")
    server.start_rollout(new)

    kill_at(server, metadata_came(server), "rollout", "promote", new, "--yes")
    server.serinus(
        "rollout", "promote", new, "--ring", "all", "--override", "--reason", "test", "--yes"
    )
    server.wait_until_offered(new)
    check(server)

    kill_at(server, timestamp_moved(server), "rollout", "pull", new, "--confirm", new)
    server.serinus("rollout", "pull", new, "--confirm", new, allowed=(0, 3))
    told = server.check_in(an_id(), new)["assignment"]
    assert (told["action"], told["version"]) == ("rollback", old)
    check(server)
