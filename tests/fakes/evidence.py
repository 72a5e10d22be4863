"""The audit and the telemetry in memory, one record at a time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from packaging.version import InvalidVersion, Version

from rollout.model import Arm, RolloutId
from rollout.versions import render_version
from tests.fakes.state import Progress, State
from update_server.service.ports import (
    AuditRecord,
    ChangedError,
    Checkpoint,
    Contact,
    Event,
    FunnelCell,
    Phase,
    SeenInstall,
)
from update_server.service.ports.audit import Link

_STEPS = ("contacts", *Phase)


class FakeAudit:
    """See ports.Audit."""

    def __init__(self, state: State) -> None:
        self._state = state

    def append(
        self,
        *,
        at: datetime,
        actor: str,
        action: str,
        app: str | None,
        subject: str,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRecord:
        self._state.write()
        seq = len(self._state.audit) + 1
        record = AuditRecord(
            seq=seq,
            at=at,
            actor=actor,
            action=action,
            app=app,
            subject=subject,
            reason=reason,
            before=dict(before or {}),
            after=dict(after or {}),
            previous_hash="0" * 64 if seq == 1 else self._state.audit[seq - 1].hash,
            hash="",
        )
        self._state.audit[seq] = replace(record, hash=_hash(record))
        return self._state.audit[seq]

    def page(
        self, *, app: str | None, before_seq: int | None, limit: int, subject: str | None = None
    ) -> Sequence[AuditRecord]:
        return [
            record
            for seq, record in reversed(self._state.audit.items())
            if (app is None or record.app == app)
            and (before_seq is None or seq < before_seq)
            and subject in {None, record.subject}
        ][:limit]

    def verify(self) -> int:
        return self.verified(Link(), len(self._state.audit)).seq

    def verified(self, since: Link, most: int) -> Link:
        last = since
        later = [record for seq, record in self._state.audit.items() if seq > since.seq]
        for record in later[:most]:
            linked = (record.seq, record.previous_hash) == (last.seq + 1, last.hash)
            if not linked or _hash(record) != record.hash:
                raise ChangedError("audit record", str(record.seq))
            last = Link(seq=record.seq, hash=record.hash)
        return last


def _hash(record: AuditRecord) -> str:
    stated = {**asdict(record), "at": record.at.isoformat()}
    del stated["hash"]
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class FakeTelemetry:
    """See ports.Telemetry."""

    def __init__(self, state: State) -> None:
        self._state = state

    def absorb(self, contacts: Sequence[Contact], events: Sequence[Event]) -> Sequence[Event]:
        self._state.write()
        for contact in contacts:
            self._contact(contact)
        return [event for event in events if self._event(event)]

    def _contact(self, contact: Contact) -> None:
        key = (contact.app, contact.install_key)
        last = self._state.contacts.get(key)
        if last is None or last.at <= contact.at:
            self._state.contacts[key] = contact
        if contact.rollout is None or (contact.arm is None and contact.ring is None):
            return
        steps = {"contacts"}
        rollout = self._state.rollouts.get(contact.rollout)
        offered = _parsed(contact.offered)
        if contact.action == "update" and rollout is not None and rollout.version == offered:
            steps.add(Phase.OFFERED)
        self._reach(contact.rollout, contact, contact.at, steps)

    def _event(self, event: Event) -> bool:
        key = (event.app, event.install_key, event.id)
        if key in self._state.seen:
            return False
        self._state.seen[key] = event.received_at
        rollout = self._rollout_of(event)
        counts = event.kind == "update" and not event.quarantine
        if counts and event.phase is not None and rollout is not None:
            self._reach(rollout, event, event.received_at, {event.phase})
        return True

    def _rollout_of(self, event: Event) -> RolloutId | None:
        version = _parsed(event.body.get("to", event.version))
        found = {
            rollout.channel: rollout.id
            for rollout in self._state.rollouts.values()
            if rollout.app == event.app and rollout.version == version
        }
        last = self._state.contacts.get((event.app, event.install_key))
        channel = event.channel or (last.channel if last else None)
        if channel is not None:
            return found.get(channel)
        return next(iter(found.values())) if len(found) == 1 else None

    def _reach(
        self, rollout: RolloutId, record: Contact | Event, at: datetime, steps: set[str]
    ) -> None:
        key = (rollout, record.install_key)
        new = Progress(app=record.app, ring=None, arm=None, steps=frozenset(), last_at=at)
        old = self._state.progress.get(key, new)
        ring, arm = old.ring, old.arm
        if isinstance(record, Contact) and (
            arm is None or (arm is Arm.CONTROL and record.arm is not Arm.CONTROL)
        ):
            ring, arm = record.ring, record.arm or Arm.INTERNAL
        self._state.progress[key] = replace(
            old, ring=ring, arm=arm, steps=old.steps | steps, last_at=max(old.last_at, at)
        )

    def checkpoint(self, spool: str) -> int:
        return self._state.checkpoints.get(spool, 0)

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._state.write()
        self._state.checkpoints[checkpoint.spool] = checkpoint.offset_bytes

    def forget_checkpoint(self, spool: str) -> None:
        self._state.write()
        self._state.checkpoints.pop(spool, None)

    def funnels(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[FunnelCell]]:
        return {rollout: self._funnel(rollout) for rollout in rollouts}

    def _funnel(self, rollout: RolloutId) -> Sequence[FunnelCell]:
        counts: Counter[tuple[str, Arm, str]] = Counter()
        for (rollout_id, _), one in self._state.progress.items():
            if rollout_id == rollout:
                for step in one.steps:
                    counts[one.ring or "", one.arm or Arm.CANDIDATE, step] += 1
        cells = [
            FunnelCell(ring=ring, arm=arm, step=step, installs=installs)
            for (ring, arm, step), installs in counts.items()
        ]
        return sorted(cells, key=lambda cell: (cell.ring, cell.arm, _STEPS.index(cell.step)))

    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]:
        counts = Counter(
            (last.channel, last.platform, last.version)
            for last in self._state.contacts.values()
            if last.app == app
        )
        return sorted((*key, installs) for key, installs in counts.items())

    def event_ids(self, app: str, install_key: bytes) -> Sequence[str]:
        return sorted(name for of, key, name in self._state.seen if (of, key) == (app, install_key))

    def seen_ids(self, names: Iterable[tuple[str, bytes, str]]) -> set[tuple[str, bytes, str]]:
        return set(names) & set(self._state.seen)

    def find(self, app: str, keys: Collection[bytes]) -> Mapping[bytes, SeenInstall]:
        return {
            asked: SeenInstall(install_key=key, channel=contact.channel, platform=contact.platform)
            for (of, key), contact in sorted(self._state.contacts.items(), reverse=True)
            for asked in keys
            if of == app and asked and key.startswith(asked)
        }

    def forget_install(self, app: str, install_key: bytes) -> None:
        self._state.write()
        state = self._state
        state.contacts.pop((app, install_key), None)
        state.progress = {
            key: one
            for key, one in state.progress.items()
            if (one.app, key[1]) != (app, install_key)
        }
        state.seen = {k: at for k, at in state.seen.items() if k[:2] != (app, install_key)}
        state.enrolments = {
            key: one
            for key, one in state.enrolments.items()
            if (one.app, one.install_key) != (app, install_key)
        }

    def expire(self, *, contacts_before: datetime, events_before: datetime) -> None:
        self._state.write()
        contacts = self._state.contacts.items()
        self._state.contacts = {k: one for k, one in contacts if one.at >= contacts_before}
        self._state.progress = {
            (rollout, key): one
            for (rollout, key), one in self._state.progress.items()
            if one.last_at >= contacts_before or (one.app, key) in self._state.contacts
        }
        self._state.seen = {k: at for k, at in self._state.seen.items() if at >= events_before}


def _runs(last: Contact, version: Version) -> bool:
    return last.version == render_version(version)


def _parsed(text: object) -> Version | None:
    try:
        return Version(text) if isinstance(text, str) else None
    except InvalidVersion:
        return None
