"""What the API answers about one rollout, gathered for the pages about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollout.model import RolloutId
from update_server.service.ports import NotFoundError
from update_server.web.admin import answers, rollout_answers, rollouts, series, studies, telemetry
from update_server.web.admin.queries import Part
from update_server.web.admin.replies import listed
from update_server.web.admin.services import AdminServices


def rollout_body(services: AdminServices, app: str, rollout: str) -> dict[str, Any]:
    """Return what the API answers about a rollout. Raises NotFoundError."""
    return rollouts.body(services, app, RolloutId(rollout))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The answers about one rollout that its page shows, all of one instant.

    ``study`` is None where it is not judged. Outcomes are left out of ``rollout``.
    """

    rollout: dict[str, Any]
    study: dict[str, Any] | None
    series: dict[str, Any]
    trust: dict[str, Any]
    holds: list[dict[str, Any]]
    history: dict[str, Any]


def page_bodies(services: AdminServices, app: str, rollout: str, part: Part) -> Bodies:
    """Return what the API answers about a rollout, with a part of its history.

    Raises NotFoundError.
    """
    look = services.looks.at(app, RolloutId(rollout), before_seq=part.cursor, limit=part.limit)
    return Bodies(
        rollout=rollout_answers.rollout_in_full(look.detail),
        study=None if look.study is None else studies.rendered(look.study),
        series=series.rendered(look.series),
        trust=telemetry.trust(services, look.trust),
        holds=[answers.hold(each) for each in look.holds],
        history=listed((answers.audit(each) for each in look.history), look.next_seq),
    )


def study_body(services: AdminServices, app: str, rollout: str) -> dict[str, Any] | None:
    """Return what the API answers about the study of a rollout that is there; None without one."""
    try:
        return studies.body(services, app, RolloutId(rollout))
    except NotFoundError:
        return None


def path_of(it: dict[str, Any]) -> str:
    """Return the path of a rollout's page."""
    return f"/apps/{it['app']}/rollouts/{it['id']}"
