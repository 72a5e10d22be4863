"""``/apps/{app}/policy``: the bounds that the publisher signed, as people read them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Blueprint, Response

from update_server.service.errors import NotRegisteredError
from update_server.service.ports import Role
from update_server.web.admin import policy
from update_server.web.admin.queries import optional_one_of
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.pages import Pages

PAST: Final = 10
"""Rollouts that are looked back at."""

SOON: Final = timedelta(days=14)
"""A policy that ends within this time should be signed anew: it takes people with offline keys."""


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("policy_page", __name__)

    @bp.get("/apps/<name:app>/policy")
    def get_policy(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        channels = services.apps.named(app).channels
        channel = optional_one_of("channel", channels) or channels[0]
        now = pages.now()
        it: dict[str, Any] | None = None
        past: list[dict[str, Any]] = []
        try:
            it = policy.body(services, app, channel)
            past = policy.past_body(services, app, channel, PAST)["items"]
        except NotRegisteredError:  # nothing was signed yet, and the page says how to
            it = None
        return pages.show(
            "policy.html",
            visitor,
            app=app,
            now=now,
            channel=channel,
            channels=channels,
            it=it,
            signed=it and json.dumps(it["policy"], indent=1),
            past=past,
            ends=it and _ends(it["expires_at"], now),
        )

    return bp


def _ends(expires_at: str, now: datetime) -> str:
    """Return whether a policy ``ended``, ends ``soon``, or ``later``."""
    left = datetime.fromisoformat(expires_at) - now
    if left <= timedelta(0):
        return "ended"
    return "soon" if left < SOON else "later"
