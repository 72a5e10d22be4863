"""``/v1/admin/notifications`` and ``…/alerts``: what people were told, and what waits for them."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.notices.notifications import AlertView, DeliveryView
from update_server.service.ports import Role
from update_server.service.ports.outbox import Undelivered
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import answered, listed, paged
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints. A token for one app sees what is about that app."""
    bp = Blueprint("notifications", __name__)

    @bp.get("/v1/admin/notifications")
    def get_notifications() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.get("/v1/admin/notifications/undelivered")
    def get_undelivered() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(undelivered_body(services, caller.app))

    @bp.get("/v1/admin/alerts")
    def get_alerts() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(alerts_body(services, caller.app, part_asked()))

    return bp


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of what people were told, newest first: about *app*, or all of it."""
    found, next_number = services.notifications.log(app, before=part.cursor, limit=part.limit)
    return listed((_delivery(each) for each in found), next_number)


def undelivered_body(services: AdminServices, app: str | None) -> JsonObject:
    """Return which targets messages do not reach. It is not told to those who see one app only."""
    now = services.clock.now()
    found = services.notifications.undelivered(now) if app is None else ()
    return listed((_undelivered(each) for each in found), None)


def alerts_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the open alerts about *app*, or of all."""
    return paged(services.notifications.alerts(app), _alert, part)


def _delivery(view: DeliveryView) -> JsonObject:
    delivery, message = view.delivery, view.delivery.message
    done_at = delivery.done_at
    return {
        "target": delivery.target,
        "state": delivery.state.value,
        "created_at": render_time(delivery.created_at),
        "due_at": render_time(delivery.due_at),
        "done_at": None if done_at is None else render_time(done_at),
        "message": {
            "id": message.id,
            "at": render_time(message.at),
            "type": message.type,
            "level": message.level.value,
            "app": message.app or None,
            "version": message.version or None,
            "rollout": message.rollout or None,
            "subject": message.subject,
            "text": message.text,
        },
        "attempts": [
            {
                "number": each.number,
                "at": render_time(each.at),
                "status": each.status,
                "error": each.error or None,
            }
            for each in view.attempts
        ],
    }


def _undelivered(value: Undelivered) -> JsonObject:
    return {
        "target": value.target,
        "messages": value.messages,
        "since": render_time(value.since),
        "error": value.error or None,
    }


def _alert(view: AlertView) -> JsonObject:
    alert = view.alert
    acknowledged_at, escalated_at = alert.acknowledged_at, alert.escalated_at
    return {
        "id": alert.id,
        "reason": alert.reason,
        "app": alert.app or None,
        "rollout": alert.rollout or None,
        "ring": alert.ring or None,
        "opened_at": render_time(alert.opened_at),
        "acknowledged_at": None if acknowledged_at is None else render_time(acknowledged_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "escalated_at": None if escalated_at is None else render_time(escalated_at),
        "message": alert.message,
        "subject": view.subject,
        "text": view.text,
    }
