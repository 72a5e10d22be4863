"""What the API answers about one rollout, gathered for the pages about it."""

from __future__ import annotations

from typing import Any

from rollout.model import RolloutId
from update_server.service.ports import NotFoundError
from update_server.web.admin import rollouts, studies
from update_server.web.admin.services import AdminServices


def rollout_body(services: AdminServices, app: str, rollout: str) -> dict[str, Any]:
    """Return what the API answers about a rollout. Raises NotFoundError."""
    return rollouts.body(services, app, RolloutId(rollout))


def study_body(services: AdminServices, app: str, rollout: str) -> dict[str, Any] | None:
    """Return what the API answers about the study of a rollout that is there; None without one."""
    try:
        return studies.body(services, app, RolloutId(rollout))
    except NotFoundError:
        return None


def path_of(it: dict[str, Any]) -> str:
    """Return the path of a rollout's page."""
    return f"/apps/{it['app']}/rollouts/{it['id']}"
