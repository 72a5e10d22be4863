"""The installs in each study, and the ways in which they are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select

from rollout.model import RolloutId
from update_server.service.ports.studies import StoredMember
from update_server.store.rows import chunks, upsert
from update_server.store.tables import study_members

_CHANGED = ("due_at", "network", "platform", "has_left", "body")


class SqlRegisters:
    """Registers over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def members(self, rollout: RolloutId, installs: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Return those of *installs* that are in the study."""
        found: dict[bytes, bytes] = {}
        for some in chunks(installs):
            rows = self._connection.execute(
                select(study_members.c.install_key, study_members.c.body).where(
                    study_members.c.rollout == rollout, study_members.c.install_key.in_(some)
                )
            )
            found.update((bytes(key), bytes(body)) for key, body in rows)
        return found

    def put_members(self, rollout: RolloutId, members: Mapping[bytes, StoredMember]) -> None:
        """Store *members*, new ones and changed ones."""
        if not members:
            return
        statement = upsert(self._connection, study_members)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[study_members.c.rollout, study_members.c.install_key],
                set_={name: statement.excluded[name] for name in _CHANGED},
            ),
            [
                {
                    "rollout": rollout,
                    "install_key": key,
                    "due_at": member.due_at,
                    "network": member.network,
                    "platform": member.platform,
                    "has_left": member.left,
                    "forgotten": False,
                    "body": member.body,
                }
                for key, member in members.items()
            ],
        )
        self._remove_forgotten(rollout, (key for key, one in members.items() if one.left))

    def _remove_forgotten(self, rollout: RolloutId, left: Iterable[bytes]) -> None:
        """Delete those that were only kept until they have left (ports.Studies)."""
        for some in chunks(left):
            self._connection.execute(
                delete(study_members).where(
                    study_members.c.rollout == rollout,
                    study_members.c.install_key.in_(some),
                    study_members.c.forgotten,
                )
            )

    def remove_members(self, rollout: RolloutId, installs: Iterable[bytes]) -> None:
        """Delete those of *installs* that are in the study."""
        for some in chunks(installs):
            self._connection.execute(
                delete(study_members).where(
                    study_members.c.rollout == rollout, study_members.c.install_key.in_(some)
                )
            )

    def due_members(self, rollout: RolloutId, now: float) -> Sequence[tuple[bytes, bytes]]:
        """Return the members whose next outcome is known at *now*, in that order."""
        found = (
            select(study_members.c.install_key, study_members.c.body)
            .where(study_members.c.rollout == rollout, study_members.c.due_at <= now)
            .order_by(study_members.c.due_at, study_members.c.install_key)
        )
        return _pairs(self._connection.execute(found))

    def members_of_network(
        self, rollout: RolloutId, network: bytes
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return the members of one network."""
        return self._members_where(rollout, study_members.c.network == network)

    def members_of_platform(
        self, rollout: RolloutId, platform: str
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return the members on one platform."""
        return self._members_where(rollout, study_members.c.platform == platform)

    def _members_where(
        self, rollout: RolloutId, where: ColumnElement[bool]
    ) -> Sequence[tuple[bytes, bytes]]:
        # Keys first, bodies then: SQLite, which knows nothing of how the values are spread, walks
        # the whole study unless the index alone answers.
        keys = select(study_members.c.install_key).where(study_members.c.rollout == rollout, where)
        found = (
            select(study_members.c.install_key, study_members.c.body)
            .where(
                study_members.c.rollout == rollout,
                study_members.c.install_key.in_(keys.correlate(None)),
            )
            .order_by(study_members.c.install_key)
        )
        return _pairs(self._connection.execute(found))

    def count_members(self, rollout: RolloutId) -> int:
        """Return how many installs are in the study."""
        counted = select(func.count()).where(study_members.c.rollout == rollout)
        return self._connection.execute(counted).scalar_one()


def _pairs(found: Iterable[Any]) -> Sequence[tuple[bytes, bytes]]:
    return [(bytes(key), bytes(body)) for key, body in found]
