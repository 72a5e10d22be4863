"""What became of the installs of a pulled release: two statements over progress and contacts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, exists, false, func, not_, or_, select

from rollout.model import Rollout
from rollout.versions import render_version
from update_server.service.ports import Phase
from update_server.service.ports.pulls import PullCounts
from update_server.store.folding import DOWNLOADED, INSTALLED, OFFERED, STEP_BITS
from update_server.store.tables import contacts, progress


def pull_counts(connection: Connection, pulled: Rollout) -> PullCounts:
    """Return what became of the installs of a rollout, pulled at its last change."""
    return _followed(connection, pulled) + _only_seen(connection, pulled)


def _followed(connection: Connection, pulled: Rollout) -> PullCounts:
    """Count the installs whose progress is known."""
    runs_it = _runs(pulled)
    installed = or_(has_step(INSTALLED), runs_it)
    # What it told since its last check-in is about this release: it was on it then.
    seen_elsewhere = func.coalesce(contacts.c.at >= progress.c.last_at, false())
    went_back = or_(seen_elsewhere, has_step(STEP_BITS[Phase.ROLLED_BACK]))
    replaced = and_(installed, not_(runs_it), went_back)
    on_it = and_(installed, or_(runs_it, not_(went_back)))
    heard = or_(
        func.coalesce(contacts.c.at >= pulled.changed_at, false()),
        progress.c.last_at >= pulled.changed_at,
    )
    counted = {
        "offered": or_(has_step(OFFERED), runs_it),
        "downloaded": or_(has_step(DOWNLOADED), runs_it),
        "installed": installed,
        "replaced": replaced,
        "rolled_back": and_(replaced, _runs_replacement(pulled)),
        "still_on": and_(on_it, heard),
        "unreachable": and_(on_it, not_(heard)),
    }
    found = connection.execute(
        select(*(_count(met).label(name) for name, met in counted.items()))
        .select_from(with_contacts())
        .where(progress.c.rollout == pulled.id)
    ).one()
    return PullCounts(**{name: int(getattr(found, name)) for name in counted})


def _only_seen(connection: Connection, pulled: Rollout) -> PullCounts:
    """Count the installs that check in with it, and of which nothing else is known."""
    followed = exists().where(
        progress.c.rollout == pulled.id, progress.c.install_key == contacts.c.install_key
    )
    found = connection.execute(
        select(_count(contacts.c.at >= pulled.changed_at).label("heard"), func.count().label("all"))
        .where(contacts.c.app == pulled.app, contacts.c.channel == pulled.channel)
        .where(_runs(pulled), not_(followed))
    ).one()
    every, still_on = int(found.all), int(found.heard)
    return PullCounts(
        offered=every,
        downloaded=every,
        installed=every,
        still_on=still_on,
        unreachable=every - still_on,
    )


def has_step(bits: int) -> Any:
    """Return whether an install reached one of the steps in *bits*."""
    return progress.c.steps.op("&")(bits) != 0


def with_contacts() -> Any:
    """Return progress, each with its install's last contact, if any is known."""
    same = and_(contacts.c.app == progress.c.app, contacts.c.install_key == progress.c.install_key)
    return progress.outerjoin(contacts, same)


def _runs(pulled: Rollout) -> Any:
    return func.coalesce(contacts.c.version == render_version(pulled.version), false())


def _runs_replacement(pulled: Rollout) -> Any:
    if pulled.replacement is None:
        return false()
    return func.coalesce(contacts.c.version == render_version(pulled.replacement), false())


def _count(met: Any) -> Any:
    return func.coalesce(func.sum(case((met, 1), else_=0)), 0)
