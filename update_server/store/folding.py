"""Folding of contacts and events to one row per (rollout, install). No database here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from packaging.version import InvalidVersion, Version

from rollout.model import Action, Arm, RolloutId
from update_server.service.ports import Contact, Event, Phase

UPDATE = "update"
"""The kind of events that say how far an update came."""

STEP_BITS: Mapping[str, int] = {name: 1 << place for place, name in enumerate(("contacts", *Phase))}
"""The bit of each step in a set of steps. Stored: append to it, never reorder."""

LIFE = STEP_BITS[Phase.APPLIED] | STEP_BITS[Phase.LAUNCHED]
"""An install with one of these runs the version, so its silence means something."""

INSTALLED = LIFE | STEP_BITS[Phase.HEALTHY] | STEP_BITS[Phase.ROLLED_BACK]
"""An install with one of these has applied the version, whatever it runs now."""

DOWNLOADED = (
    INSTALLED | STEP_BITS[Phase.DOWNLOADED] | STEP_BITS[Phase.VERIFIED] | STEP_BITS[Phase.STAGED]
)
"""An install with one of these has downloaded the version."""

OFFERED = DOWNLOADED | STEP_BITS[Phase.OFFERED] | STEP_BITS[Phase.FAILED]
"""An install with one of these was offered the version."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far one install came with one rollout, as far as this batch tells."""

    app: str
    last_at: datetime
    ring: str | None = None
    arm: Arm | None = None
    steps: int = 0

    def counts_as(self, other: Progress | None) -> bool:
        """Return whether *other* is as far, in the same place: whenever that was."""
        return other is not None and (self.steps, self.arm, self.ring) == (
            other.steps,
            other.arm,
            other.ring,
        )


def after(known: Progress | None, told: Progress) -> Progress:
    """Return how far an install came, of which *told* was told after what was *known*.

    The first contact decides on ring and arm; but a control install that is offered the release
    later, in a wider ring, counts where it was offered it (ports.Telemetry).
    """
    if known is None:
        return told
    settles = known.arm is None or (known.arm == Arm.CONTROL and told.arm != Arm.CONTROL)
    here = told if told.arm is not None and settles else known
    return Progress(
        app=known.app,
        last_at=max(known.last_at, told.last_at),
        ring=here.ring,
        arm=here.arm,
        steps=known.steps | told.steps,
    )


@dataclass(slots=True)
class Known:
    """What is needed to match events with rollouts."""

    channels: Mapping[tuple[str, bytes], str] = field(default_factory=dict)
    _versions: dict[RolloutId, Version] = field(default_factory=dict)
    _newest: dict[tuple[str, Version], dict[str, RolloutId]] = field(default_factory=dict)
    _parsed: dict[str, Version | None] = field(default_factory=dict)

    def add_rollout(self, rollout: RolloutId, app: str, channel: str, version: str) -> None:
        """Take in a rollout; the newest of a version comes last."""
        parsed = Version(version)
        self._versions[rollout] = parsed
        self._newest.setdefault((app, parsed), {})[channel] = rollout

    def is_of(self, rollout: RolloutId, version: str | None) -> bool:
        """Return whether *version* is the one that *rollout* is about."""
        parsed = self.parse(version)
        return parsed is not None and self._versions.get(rollout) == parsed

    def rollout_of(self, event: Event) -> RolloutId | None:
        """Return the newest rollout of the version that an update event is about.

        The channel is the event's, or that of the install's last contact. When neither is
        known, only a version that was rolled out on a single channel is matched.
        """
        version = self.parse(event.body.get("to", event.version))
        if version is None:
            return None
        by_channel = self._newest.get((event.app, version), {})
        channel = event.channel or self.channels.get((event.app, event.install_key))
        if channel is not None:
            return by_channel.get(channel)
        return next(iter(by_channel.values())) if len(by_channel) == 1 else None

    def parse(self, text: object) -> Version | None:
        """Return the version that *text* spells, if it does."""
        if not isinstance(text, str):
            return None
        if text not in self._parsed:
            try:
                self._parsed[text] = Version(text)
            except InvalidVersion:
                self._parsed[text] = None
        return self._parsed[text]


def without_channel(events: Sequence[Event]) -> dict[str, list[bytes]]:
    """Return the installs, by app, whose channel has to be looked up for *events*."""
    wanted: dict[str, set[bytes]] = {}
    for event in events:
        if event.channel is None and event.kind == UPDATE:
            wanted.setdefault(event.app, set()).add(event.install_key)
    return {app: sorted(keys) for app, keys in wanted.items()}


def fold(
    contacts: Sequence[Contact], events: Sequence[Event], known: Known
) -> dict[tuple[RolloutId, bytes], Progress]:
    """Return what *contacts* and *events* tell of each (rollout, install)."""
    folded: dict[tuple[RolloutId, bytes], Progress] = {}
    for contact in contacts:
        if contact.rollout is None or (contact.arm is None and contact.ring is None):
            continue  # under a hold, or no rollout concerns it
        progress = _progress(folded, contact.rollout, contact, contact.at)
        arm = _counted_arm(contact)
        if progress.arm in {None, Arm.CONTROL} and progress.arm is not arm:
            progress.ring, progress.arm = contact.ring, arm
        progress.steps |= STEP_BITS["contacts"]
        if contact.action == Action.UPDATE and known.is_of(contact.rollout, contact.offered):
            progress.steps |= STEP_BITS[Phase.OFFERED]
    for event in events:
        if event.kind != UPDATE or event.phase is None or event.quarantine:
            continue
        rollout = known.rollout_of(event)
        if rollout is not None:
            progress = _progress(folded, rollout, event, event.received_at)
            progress.steps |= STEP_BITS[event.phase]
    return folded


def _counted_arm(contact: Contact) -> Arm:
    """Return where an install is counted: in neither arm, if it was offered the release first."""
    return Arm.INTERNAL if contact.arm is None else contact.arm


def _progress(
    folded: dict[tuple[RolloutId, bytes], Progress],
    rollout: RolloutId,
    record: Contact | Event,
    at: datetime,
) -> Progress:
    progress = folded.setdefault(
        (rollout, record.install_key), Progress(app=record.app, last_at=at)
    )
    progress.last_at = max(progress.last_at, at)
    return progress
