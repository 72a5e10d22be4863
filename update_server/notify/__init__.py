"""How people are told: the kinds of targets that messages go to."""

from __future__ import annotations

from collections.abc import Callable

from update_server.notify.mail import Mail
from update_server.notify.network import Network
from update_server.notify.settings import TargetSettings
from update_server.notify.slack import Slack
from update_server.notify.teams import Teams
from update_server.notify.webhook import Webhook
from update_server.service.ports.outbox import Notifier

NOTIFIERS: dict[str, Callable[[TargetSettings, Network], Notifier]] = {
    "webhook": Webhook,
    "slack": Slack,
    "teams": Teams,
    "smtp": Mail,
}
"""What brings messages to a target, by its kind."""

__all__ = ["NOTIFIERS", "Network", "TargetSettings"]
