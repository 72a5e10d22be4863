"""What the API answers about one rollout, gathered for the pages about it."""

from __future__ import annotations

from typing import Any, Final

from rollout.model import RolloutId
from update_server.web.admin import rollouts
from update_server.web.admin.services import AdminServices

# Members that are not counted yet.
_UNKNOWN: Final[dict[str, Any]] = {
    "pending": [],
    "ways_back": [],
    "running_installs": None,
    "eligible_installs": None,
    "last_possible_offer_at": None,
    "newest_datum_at": None,
    "next_step": None,
}


def rollout_body(services: AdminServices, app: str, rollout: str) -> dict[str, Any]:
    """Return what the API answers about a rollout. Raises NotFoundError."""
    return {**_UNKNOWN, **rollouts.body(services, app, RolloutId(rollout))}


def path_of(it: dict[str, Any]) -> str:
    """Return the path of a rollout's page."""
    return f"/apps/{it['app']}/rollouts/{it['id']}"
