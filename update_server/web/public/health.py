"""``/healthz`` and ``/readyz``: whether this process lives, and whether it can answer."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from update_server.web import wire
from update_server.web.public.answers import json_bytes, to_flask
from update_server.web.public.services import PublicServices


def blueprint(services: PublicServices) -> Blueprint:
    """Return both endpoints."""
    bp = Blueprint("health", __name__)

    @bp.get("/healthz")
    def get_healthz() -> Response:
        return to_flask(json_bytes(200, wire.render({"alive": True})))

    @bp.get("/readyz")
    def get_readyz() -> Response:
        ready, degraded = _state(services)
        body = wire.render({"ready": ready, "degraded": degraded})
        return to_flask(json_bytes(200 if ready else 503, body))

    return bp


def _state(services: PublicServices) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether check-ins are answered at all, and what is worse than it should be.

    A process that lost its lease is ready: it answers ``stay``, which is better than a
    load balancer that sends everybody to nobody.
    """
    tables = services.tables
    if not tables.is_ready:
        return False, [{"code": "not_ready", "detail": "nothing was read from the database yet"}]
    degraded: list[dict[str, Any]] = [
        {
            "code": "stale",
            "app": app,
            "age_seconds": int(tables.age_seconds(held)),
            "detail": "not confirmed within the lease: nothing is offered",
        }
        for app, held in sorted(tables.all().items())
        if not tables.is_live(held)
    ]
    dropped = services.spool.dropped_contacts
    if dropped:
        degraded.append(
            {"code": "contacts_dropped", "count": dropped, "detail": "the spool had no room"}
        )
    if services.tee is not None and services.tee.dropped:
        detail = "the Sentry behind this server did not take them"
        degraded.append({"code": "tee_dropped", "count": services.tee.dropped, "detail": detail})
    return True, degraded
