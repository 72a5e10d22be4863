"""Waivers: crashes that are known, and no reason to pause a version for some time.

A waiver acts when its version is resumed after an automatic pause: the study then takes no
notice of that signature, in both arms, until the waiver expires. What was counted before stays
counted, and what was handed to a study stays with it, even if the waiver is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from packaging.version import Version

from rollout.model import Rollout
from update_server.service.access.caller import Caller
from update_server.service.errors import BadValueError, NotReleasedError, UnknownChannelError
from update_server.service.ports import Clock, Database, Ids, NotFoundError, Stores
from update_server.service.ports.waivers import Waiver

LONGEST: Final = timedelta(days=14)
"""Longer ones would be forgotten about."""

MOST: Final = 64
"""Live waivers of one version: whoever has more should not resume it."""


class Waivers:
    """Lists, makes and removes waivers."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def all(self, app: str) -> Sequence[Waiver]:
        """Return the waivers that have not expired, newest first."""
        now = self._clock.now()
        with self._database.reading() as stores:
            stores.apps.get(app)
            return [each for each in reversed(stores.waivers.of_app(app)) if now < each.expires_at]

    def add(
        self,
        caller: Caller,
        app: str,
        channel: str,
        version: Version,
        signature: str,
        *,
        expires_at: datetime,
        reason: str,
    ) -> Waiver:
        """Accept crashes of this *signature* until *expires_at*, in 14 days at most.

        Raises:
            UnknownChannelError, NotReleasedError: As named.
            BadValueError: It has no reason, ends too late or before now, or is one too many.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            if channel not in stores.apps.get(app).channels:
                raise UnknownChannelError(app, channel)
            if not stores.releases.get(app, channel, version):
                raise NotReleasedError(channel, version)
            waiver = Waiver(
                id=self._ids.short_id("wv_"),
                app=app,
                channel=channel,
                version=version,
                signature=signature,
                expires_at=expires_at,
                reason=reason,
                created_at=now,
                created_by=caller.name,
            )
            store(stores, waiver)
        return waiver

    def remove(self, caller: Caller, app: str, waiver_id: str, *, reason: str = "") -> None:
        """End a waiver for later resumes; raise NotFoundError if there is none."""
        now = self._clock.now()
        with self._database.transaction() as stores:
            found = [each for each in stores.waivers.of_app(app) if each.id == waiver_id]
            if not found:
                raise NotFoundError("waiver", waiver_id)
            stores.waivers.remove(app, waiver_id)
            _audit(stores, found[0], "waiver.remove", caller.name, now, reason)


def store(stores: Stores, waiver: Waiver) -> None:
    """Store *waiver*, with its line in the audit log. Raises BadValueError as ``add`` does."""
    now = waiver.created_at
    if not waiver.reason.strip():
        raise BadValueError("reason", "a waiver needs a reason")
    if not now < waiver.expires_at <= now + LONGEST:
        raise BadValueError("expires_at", f"later than now, and within {LONGEST.days} days")
    stores.waivers.expire(waiver.app, now)
    if len(_of(stores, waiver.app, waiver.channel, waiver.version, now)) >= MOST:
        raise BadValueError("signature", f"at most {MOST} waivers of one version")
    stores.waivers.add(waiver)
    _audit(stores, waiver, "waiver.add", waiver.created_by, now, waiver.reason)


def live_waivers(stores: Stores, rollout: Rollout, now: datetime) -> Mapping[str, datetime]:
    """Return the signatures that are waived for the rollout's version, and until when."""
    ends: dict[str, datetime] = {}
    for each in _of(stores, rollout.app, rollout.channel, rollout.version, now):
        ends[each.signature] = max(each.expires_at, ends.get(each.signature, each.expires_at))
    return ends


def _of(
    stores: Stores, app: str, channel: str, version: Version, now: datetime
) -> Sequence[Waiver]:
    return [
        each
        for each in stores.waivers.of_app(app)
        if (each.channel, each.version) == (channel, version) and now < each.expires_at
    ]


def waivers_of(
    rollout: Rollout,
    signatures: Iterable[str],
    ids: Ids,
    *,
    created_by: str,
    reason: str,
    now: datetime,
    life: timedelta,
) -> list[Waiver]:
    """Return waivers of *signatures* for the rollout's version, to be stored."""
    return [
        Waiver(
            id=ids.short_id("wv_"),
            app=rollout.app,
            channel=rollout.channel,
            version=rollout.version,
            signature=signature,
            expires_at=now + life,
            reason=reason,
            created_at=now,
            created_by=created_by,
        )
        for signature in dict.fromkeys(signatures)
    ]


def _audit(
    stores: Stores, waiver: Waiver, action: str, actor: str, now: datetime, reason: str
) -> None:
    stores.audit.append(
        at=now,
        actor=actor,
        action=action,
        app=waiver.app,
        subject=waiver.id,
        reason=reason,
        after={
            "channel": waiver.channel,
            "version": str(waiver.version),
            "signature": waiver.signature,
            "expires_at": waiver.expires_at.isoformat(),
        },
    )
