"""How many installs rollouts are about: one statement for any number of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, and_, func, select

from rollout.model import RolloutId
from update_server.service.ports.reach import Reach
from update_server.store.tables import arrivals, contact_counts, releases, rollouts


def reach(connection: Connection, wanted: Collection[RolloutId]) -> Mapping[RolloutId, Reach]:
    """Return how many installs each of *wanted* is about, as far as there are such rollouts."""
    r, x, c, a = rollouts.c, releases.c, contact_counts.c, arrivals.c
    these = r.id.in_(wanted)
    # Each place is summed up once, however many rollouts are about it.
    by_place = (
        select(c.app, c.channel, c.platform, func.sum(c.installs).label("installs"))
        .where(c.app.in_(select(r.app).where(these)))
        .group_by(c.app, c.channel, c.platform)
        .cte()
    )
    its_release = and_(x.app == r.app, x.channel == r.channel, x.version == r.version)
    there = and_(
        by_place.c.app == r.app,
        by_place.c.channel == r.channel,
        by_place.c.platform == x.platform,
    )
    eligible = (
        select(r.id, func.sum(by_place.c.installs).label("installs"))
        .select_from(rollouts.join(releases, its_release).join(by_place, there))
        .where(these)
        .group_by(r.id)
        .subquery()
    )
    on_it = and_(
        c.app == r.app,
        c.channel == r.channel,
        c.platform == x.platform,
        c.version == r.version,
    )
    running = (
        select(r.id, func.sum(c.installs).label("installs"))
        .select_from(rollouts.join(releases, its_release).join(contact_counts, on_it))
        .where(these)
        .group_by(r.id)
        .subquery()
    )
    last_minute = (
        select(a.minute)
        .where(a.app == r.app, a.code == "")
        .order_by(a.minute.desc())
        .limit(1)
        .correlate(rollouts)
        .scalar_subquery()
    )
    heard_at = (
        select(func.max(func.coalesce(a.last_at, a.minute), type_=a.minute.type))
        .where(a.app == r.app, a.minute == last_minute, a.code == "")
        .correlate(rollouts)
        .scalar_subquery()
    )
    found = connection.execute(
        select(
            r.id,
            func.coalesce(eligible.c.installs, 0).label("eligible"),
            func.coalesce(running.c.installs, 0).label("running"),
            heard_at.label("heard_at"),
        )
        .select_from(
            rollouts.outerjoin(eligible, eligible.c.id == r.id).outerjoin(
                running, running.c.id == r.id
            )
        )
        .where(these)
    )
    return {
        RolloutId(row.id): Reach(
            eligible=int(row.eligible), running=int(row.running), heard_at=row.heard_at
        )
        for row in found
    }
