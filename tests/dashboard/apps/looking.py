"""What tests of pages look at: a page, what the API answers, what is on record."""

from __future__ import annotations

from typing import Any

from tests.admin_world import APP, World
from tests.dashboard.apps.reading import Page
from tests.dashboard.visitors import Browser
from update_server.service.ports import AuditRecord, Role
from update_server.service.rollouts.recount import Recounter
from update_server.web.admin.app import create_app


def open_page(browser: Browser, path: str) -> Page:
    """Return a page that opens."""
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return Page(answer)


def api(world: World, path: str) -> dict[str, Any]:
    """Return what the API answers."""
    secret = world.caller(Role.VIEWER).secret
    client = create_app(world.services()).test_client()
    answer = client.get(f"/v1/admin{path}", headers={"Authorization": f"Bearer {secret}"})
    assert answer.json is not None
    body: dict[str, Any] = answer.json
    return body


def newest_line(world: World) -> AuditRecord:
    """Return the last line of the audit log."""
    with world.database.reading() as stores:
        return stores.audit.page(app=APP, before_seq=None, limit=1)[0]


def recounted(world: World) -> None:
    """Count what the controller counts now and then."""
    recounter = Recounter(world.database, world.clock, next_check_in_seconds=14_400)
    recounter.step()
