"""A crash of 1.0.0 that an agent tells of after the update to 1.1.0."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from tests.e2e.running import an_id
from tests.intake.fleet import NEW, OLD, Fleet
from tests.intake.numbers import Numbers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake"), pytest.mark.timeout(300)]


def offered(fleet: Fleet) -> tuple[str, str]:
    """Return an install on 1.0.0 that is offered 1.1.0, and its token."""
    while True:
        install_id = an_id()
        told = fleet.server.check_in(install_id, OLD)
        if told["assignment"]["version"] == NEW:
            return install_id, told["token"]


def test_an_own_event_counts_for_the_version_that_crashed(fleet: Fleet) -> None:
    install_id, old_token = offered(fleet)
    new_token = fleet.server.check_in(install_id, NEW)["token"]
    before = fleet.numbers()

    for token in (old_token, new_token):  # an agent may have lost the one that it happened under
        event = {
            "id": str(uuid.uuid4()),
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "kind": "crash",
            "version": OLD,
            "exception": {"type": "OwnError"},
            "frames": [{"module": "notes", "function": "boom"}],
        }
        sent = {"install_id": install_id, "token": token, "events": [event]}
        status, answer = fleet.server.post("/events", sent)
        assert (status, answer["accepted"]) == (202, 1)

    assert old_token != new_token
    fleet.wait_until_counted(
        Numbers(crashes={(OLD, "candidate", "OwnError"): 2}, crashed={(OLD, "candidate"): 1}),
        since=before,
    )
