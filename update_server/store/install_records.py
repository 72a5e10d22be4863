"""What is stored of one install: look-ups by its key, whatever the size of the fleet."""

from __future__ import annotations

from sqlalchemy import Connection, select

from rollout.model import Arm, RolloutId
from update_server.service.ports.studies import LastContact, Progress
from update_server.store.folding import STEP_BITS
from update_server.store.tables import contacts, progress


def last_contact(connection: Connection, app: str, install_key: bytes) -> LastContact | None:
    """Return the newest check-in of an install, None where there is none."""
    c = contacts.c
    row = connection.execute(
        select(contacts).where(c.app == app, c.install_key == install_key)
    ).one_or_none()
    if row is None:
        return None
    return LastContact(
        at=row.at,
        channel=row.channel,
        platform=row.platform,
        version=row.version,
        action=row.action,
        reason=row.reason,
        offered=row.offered,
        self_selected=row.self_selected,
        telemetry=row.telemetry,
    )


def progress_of(connection: Connection, rollout: RolloutId, install_key: bytes) -> Progress | None:
    """Return how far an install came with a rollout, None where nothing is known of it."""
    c = progress.c
    row = connection.execute(
        select(progress).where(c.rollout == rollout, c.install_key == install_key)
    ).one_or_none()
    if row is None:
        return None
    return Progress(
        ring=row.ring,
        arm=None if row.arm is None else Arm(row.arm),
        steps=tuple(name for name, bit in STEP_BITS.items() if row.steps & bit),
        last_at=row.last_at,
    )
