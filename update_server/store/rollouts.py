"""What the server wants: rollouts and holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from packaging.version import Version
from sqlalchemy import Connection, Select, select, update
from sqlalchemy.engine import Row

from rollout.model import Actor, Audience, Hold, Rollout, RolloutId, RolloutState, Step
from update_server.service.ports import ChangedError, ExistsError, NotFoundError, StoredHold
from update_server.service.ports.reach import Reach
from update_server.service.ports.rollouts import ChannelMark
from update_server.store.channel_marks import channel_marks
from update_server.store.reach import reach
from update_server.store.rows import changed, insert_new, one, require_app
from update_server.store.tables import holds, rollouts

_LIVE = (RolloutState.ACTIVE, RolloutState.PAUSED)


class SqlRollouts:
    """Rollouts over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, rollout: Rollout) -> None:
        """Store a new rollout; raise ExistsError if its ID is taken."""
        require_app(self._connection, rollout.app)
        if insert_new(self._connection, rollouts, **_columns(rollout)) is None:
            raise ExistsError("rollout", rollout.id)

    def get(self, app: str, rollout_id: RolloutId) -> Rollout:
        """Return the rollout, or raise NotFoundError."""
        found = select(rollouts).where(rollouts.c.app == app, rollouts.c.id == rollout_id)
        return _rollout(one(self._connection, found, "rollout", rollout_id))

    def of_app(self, app: str, *, start: int = 0, limit: int | None = None) -> Sequence[Rollout]:
        """Return the rollouts of *app*, newest first, from the one after *start* of them on."""
        found = select(rollouts).where(rollouts.c.app == app)
        return self._found(found.offset(start).limit(limit))

    def of_versions(self, app: str, versions: Collection[Version]) -> Sequence[Rollout]:
        """Return the rollouts of *versions*, newest first."""
        named = rollouts.c.version.in_({str(version) for version in versions})
        return self._found(select(rollouts).where(rollouts.c.app == app, named))

    def newest(self, app: str, limit: int) -> Sequence[Rollout]:
        """Return the newest rollouts of *app*, at most *limit*, newest first."""
        return self._found(select(rollouts).where(rollouts.c.app == app).limit(limit))

    def live(self) -> Sequence[Rollout]:
        """Return the rollouts that are active or paused, of all apps, newest first."""
        return self._found(select(rollouts).where(rollouts.c.state.in_(_LIVE)))

    def pulled(self) -> Sequence[Rollout]:
        """Return the rollouts that were pulled, of all apps, newest first."""
        return self._found(select(rollouts).where(rollouts.c.state == RolloutState.PULLED))

    def revisions(self, wanted: Collection[RolloutId]) -> Mapping[RolloutId, int]:
        """Return the revision of each of these rollouts."""
        found = select(rollouts.c.id, rollouts.c.revision).where(rollouts.c.id.in_(wanted))
        return {RolloutId(row.id): row.revision for row in self._connection.execute(found)}

    def reach(self, wanted: Collection[RolloutId]) -> Mapping[RolloutId, Reach]:
        """Return how many installs each of these rollouts is about."""
        return reach(self._connection, wanted)

    def marks(self, apps: Collection[str]) -> Mapping[tuple[str, str], ChannelMark]:
        """Return the mark of every channel of *apps*."""
        return channel_marks(self._connection, apps)

    def _found(self, statement: Select[Any]) -> list[Rollout]:
        newest_first = statement.order_by(rollouts.c.number.desc())
        return [_rollout(row) for row in self._connection.execute(newest_first)]

    def replace(self, old: Rollout, new: Rollout) -> None:
        """Write *new* if the revision of *old* still is what is stored.

        Raises:
            ChangedError: Another revision is stored.
            NotFoundError: There is no such rollout.
        """
        unchanged = (rollouts.c.id == old.id) & (rollouts.c.revision == old.revision)
        if not changed(self._connection, update(rollouts).where(unchanged).values(_columns(new))):
            self.get(old.app, old.id)
            raise ChangedError("rollout", old.id)

    def add_hold(self, hold: StoredHold) -> None:
        """Store a new hold; raise ExistsError if its ID is taken in the app."""
        require_app(self._connection, hold.app)
        row = insert_new(
            self._connection,
            holds,
            app=hold.app,
            id=hold.hold.id,
            channel=hold.channel,
            title=hold.hold.title,
            link=hold.hold.link,
            audience=asdict(hold.hold.audience),
            created_at=hold.created_at,
            created_by=hold.created_by,
            reason=hold.reason,
            rollout=hold.rollout,
            lifted_at=hold.lifted_at,
        )
        if row is None:
            raise ExistsError("hold", hold.hold.id)

    def lift_hold(self, app: str, hold_id: str, at: datetime) -> StoredHold:
        """Lift a hold and return it. One that was lifted before stays as it is."""
        this = (holds.c.app == app) & (holds.c.id == hold_id)
        self._connection.execute(
            update(holds).where(this, holds.c.lifted_at.is_(None)).values(lifted_at=at)
        )
        return _hold(one(self._connection, select(holds).where(this), "hold", hold_id))

    def restore_hold(self, app: str, hold_id: str) -> None:
        """Put a lifted hold in force again; one that is in force stays as it is."""
        this = (holds.c.app == app) & (holds.c.id == hold_id)
        if not changed(self._connection, update(holds).where(this).values(lifted_at=None)):
            raise NotFoundError("hold", hold_id)

    def holds(self, app: str, *, lifted: bool = False) -> Sequence[StoredHold]:
        """Return the holds of *app* in force (with *lifted*: all), oldest first."""
        found = select(holds).where(holds.c.app == app).order_by(holds.c.number)
        if not lifted:
            found = found.where(holds.c.lifted_at.is_(None))
        return [_hold(row) for row in self._connection.execute(found)]


def _columns(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "app": rollout.app,
        "channel": rollout.channel,
        "version": str(rollout.version),
        "state": rollout.state,
        "ladder": [asdict(step) for step in rollout.ladder],
        "position": rollout.position,
        "started_at": rollout.started_at,
        "position_reached_at": rollout.position_reached_at,
        "changed_at": rollout.changed_at,
        "revision": rollout.revision,
        "paused_by": rollout.paused_by,
        "reason": rollout.reason,
        "replacement": None if rollout.replacement is None else str(rollout.replacement),
        "first_for": None if rollout.first_for is None else str(rollout.first_for),
    }


def _rollout(row: Row[Any]) -> Rollout:
    return Rollout(
        id=RolloutId(row.id),
        app=row.app,
        channel=row.channel,
        version=Version(row.version),
        state=RolloutState(row.state),
        ladder=tuple(Step(**step) for step in row.ladder),
        position=row.position,
        started_at=row.started_at,
        position_reached_at=row.position_reached_at,
        changed_at=row.changed_at,
        revision=row.revision,
        paused_by=None if row.paused_by is None else Actor(row.paused_by),
        reason=row.reason,
        replacement=None if row.replacement is None else Version(row.replacement),
        first_for=None if row.first_for is None else Version(row.first_for),
    )


def _hold(row: Row[Any]) -> StoredHold:
    return StoredHold(
        app=row.app,
        channel=row.channel,
        hold=Hold(id=row.id, title=row.title, link=row.link, audience=_audience(row.audience)),
        created_at=row.created_at,
        created_by=row.created_by,
        reason=row.reason,
        rollout=None if row.rollout is None else RolloutId(row.rollout),
        lifted_at=row.lifted_at,
    )


def _audience(stored: dict[str, Any]) -> Audience:
    """Return the audience that ``asdict`` took apart; JSON has lists where it has tuples."""
    custom = stored["custom"]
    return Audience(
        custom=None if custom is None else {key: tuple(value) for key, value in custom.items()},
        unknown=stored["unknown"],
        **{
            name: None if stored[name] is None else tuple(stored[name])
            for name in ("groups", "platform", "os_version", "locale", "country")
        },
    )
