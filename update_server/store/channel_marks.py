"""Marks of channels: one statement over all that their signed documents follow from.

Versions of documents only grow. So do the number of a channel's releases, that of its rollouts and
each one's revision, and hence the sum of these. What a hold says never changes: its number stands
for it while it is in force.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, String, func, literal, select, union_all

from update_server.service.ports.rollouts import ChannelMark
from update_server.store.tables import documents, holds, journal, releases, rollouts

_UNSTORED = "unstored"


def channel_marks(
    connection: Connection, apps: Collection[str]
) -> Mapping[tuple[str, str], ChannelMark]:
    """Return the mark of every channel of *apps*."""
    d, r, x, h, j = documents.c, rollouts.c, releases.c, holds.c, journal.c
    found = connection.execute(
        union_all(
            select(d.app, d.channel, d.kind.label("what"), d.version.label("number")).where(
                d.app.in_(apps)
            ),
            select(r.app, r.channel, _text("rollouts"), func.count() + func.sum(r.revision))
            .where(r.app.in_(apps))
            .group_by(r.app, r.channel),
            select(x.app, x.channel, _text("releases"), func.count())
            .where(x.app.in_(apps))
            .group_by(x.app, x.channel),
            select(h.app, h.channel, _text("hold"), h.number).where(
                h.app.in_(apps), h.lifted_at.is_(None)
            ),
            select(j.app, _text(""), _text(_UNSTORED), j.id).where(
                j.app.in_(apps), j.published_at.is_(None)
            ),
        )
    )
    told: dict[tuple[str, str], list[str]] = {}
    unstored: set[str] = set()
    for app, channel, what, number in found:
        if what == _UNSTORED:
            unstored.add(app)
        else:
            told.setdefault((app, channel), []).append(f"{what} {number}")
    return {
        (app, channel): ChannelMark(text=", ".join(sorted(parts)), stored=app not in unstored)
        for (app, channel), parts in told.items()
    }


def _text(text: str) -> ColumnElement[str]:
    return literal(text, String, literal_execute=True)
