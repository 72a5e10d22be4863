"""What a change of a rollout document is, and how many people it needs (docs/trust.md, 7).

The signer judges every document that it is asked to sign, from the last one that it signed;
the service judges before it asks. Narrowing is never delayed; widening goes by the signed
ramp, or needs people; some things nobody may do.

Not here: who approved (the signer verifies that), and how far two entries differ
(``rollout.widening``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from packaging.version import Version

from rollout.compose import Shape, shape_at
from rollout.documents import check_against_policy
from rollout.errors import DocumentError
from rollout.first import rollout_behind
from rollout.history import History
from rollout.model import (
    FULL_EXPOSURE_BP,
    OFFERED,
    Entry,
    Policy,
    Release,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from rollout.rings import ceiling_at, is_internal
from rollout.widening import adds_internal, is_no_wider, lost_holds, next_ramp_position, shape_of

Releases = Mapping[str, Mapping[Version, Release]]
"""The signed releases of one channel: platform -> version -> release."""


class ChangeKind(StrEnum):
    """What a change is, from harmless to impossible."""

    NONE = "none"
    DE_ESCALATION = "de_escalation"
    COVERED = "covered"
    RESUME = "resume"
    ESCALATION = "escalation"
    NEVER = "never"


_GRAVITY = {kind: gravity for gravity, kind in enumerate(ChangeKind)}
_RAISING = frozenset({ChangeKind.COVERED, ChangeKind.RESUME, ChangeKind.ESCALATION})


class Act(StrEnum):
    """What the policy's ``auto`` speaks of."""

    PAUSE = "pause"
    PULL = "pull"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A whole change: as grave as its gravest part.

    ``approvals_needed`` counts distinct operators, the one who asks included; ``needed_by``
    says it of each rollout (None: all that are of none) whose entries need any. ``acts`` has
    one item for each pause, pull and rollback.
    """

    kind: ChangeKind
    why: tuple[str, ...] = ()
    approvals_needed: int = 0
    acts: tuple[Act, ...] = ()
    needed_by: Mapping[RolloutId | None, int] = field(default_factory=lambda: MappingProxyType({}))


def judge_change(
    old: RolloutDocument | None,
    new: RolloutDocument,
    policy: Policy,
    releases: Releases,
    now: datetime,
    *,
    history: History | None = None,
) -> Change:
    """Return what it means to replace *old* (None: nothing was signed yet) by *new*.

    1. The document keeps to the policy's lists, in order, and says each thing once.
    2. No version that was ever pulled is offered.
    3. Entries of both documents are compared; others start, roll back, or leave.
    """
    judge = _Judge(policy=policy, releases=releases, now=now, history=history or History())
    before = {_identity(entry): entry for entry in old.entries} if old else {}
    parts = [*judge.document(new), *judge.pulled(old, new)]  # 1, 2
    needed_by: dict[RolloutId | None, int] = {}
    for entry in new.entries:  # 3
        was = before.pop(_identity(entry), None)
        if was is not None:
            found = judge.changed(was, entry)
        elif entry.rollback:
            found = judge.rollback(entry, new)
        else:
            found = judge.started(entry)
        parts += found
        if needed := max((part.approvals_needed for part in found), default=0):
            rollout = rollout_behind(entry.rollout)
            needed_by[rollout] = max(needed, needed_by.get(rollout, 0))
    parts += [_narrowing(entry, "leaves the document") for entry in before.values()]
    return replace(_whole(parts), needed_by=MappingProxyType(needed_by))


def happens_by_itself(change: Change, policy: Policy, *, rollbacks_today: int) -> bool:
    """Whether the server may make *change* without a person asking.

    ``rollbacks_today`` counts automatic rollbacks of the app in the last 24 hours.
    """
    auto = policy.automatic
    allowed = {Act.PAUSE: auto.pause, Act.PULL: auto.pull, Act.ROLLBACK: auto.rollback}
    if change.kind in {ChangeKind.NONE, ChangeKind.DE_ESCALATION, ChangeKind.COVERED}:
        rollbacks = change.acts.count(Act.ROLLBACK)
        few_enough = not rollbacks or rollbacks_today + rollbacks <= auto.max_rollbacks_per_day
        return (
            few_enough and change.approvals_needed == 0 and all(allowed[act] for act in change.acts)
        )
    return False


def _percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %"


def _identity(entry: Entry) -> tuple[object, ...]:
    return (
        entry.rollout,
        entry.version,
        entry.rollback,
        entry.from_versions if entry.rollback else None,
    )


def _whole(parts: Iterable[Change]) -> Change:
    every = tuple(parts)
    return Change(
        kind=max((part.kind for part in every), key=_GRAVITY.__getitem__, default=ChangeKind.NONE),
        why=tuple(reason for part in every for reason in part.why),
        approvals_needed=max((part.approvals_needed for part in every), default=0),
        acts=tuple(act for part in every for act in part.acts),
    )


def _never(why: str) -> Change:
    return Change(kind=ChangeKind.NEVER, why=(why,))


def _narrowing(entry: Entry, why: str, *acts: Act) -> Change:
    return Change(kind=ChangeKind.DE_ESCALATION, why=(f"{entry.version}: {why}",), acts=acts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Judges one entry at a time, within what the policy and the releases allow."""

    policy: Policy
    releases: Releases
    now: datetime
    history: History

    def document(self, new: RolloutDocument) -> list[Change]:
        try:
            check_against_policy(new, self.policy)
        except DocumentError as error:
            return [_never(str(error))]
        versions = [entry.version for entry in new.entries if not entry.rollback]
        if versions != sorted(versions, reverse=True):
            return [_never("entries are not newest first")]
        twice = [key for key, times in Counter(map(_identity, new.entries)).items() if times > 1]
        return [_never("an entry stands there twice")] if twice else []

    def pulled(self, old: RolloutDocument | None, new: RolloutDocument) -> list[Change]:
        entries = (*(old.entries if old else ()), *new.entries)
        pulled = {entry.version for entry in entries if entry.state is RolloutState.PULLED}
        pulled |= self.history.pulled
        return [
            _never(f"{entry.version}: was pulled; publish a higher version")
            for entry in new.entries
            if entry.version in pulled and entry.state is not RolloutState.PULLED
        ]

    def started(self, entry: Entry) -> list[Change]:
        if entry.state is RolloutState.PULLED:
            return [_narrowing(entry, "pulled", Act.PULL)]
        parts = [*self._start(entry), *self._bounds(entry)]
        if entry.state in OFFERED and entry.version in self.history.paused_automatically:
            parts.append(self._resumed(entry))  # what left the document paused stays so
        return parts

    def _start(self, entry: Entry) -> list[Change]:
        ramp, shape = self.policy.ramp, shape_of(entry)
        if entry.state is RolloutState.COMPLETED:
            # Not compared with the ramp, which may have changed since, or with holds, which
            # may have been lifted: either would stand in the way of the pull that brings it.
            left_as = self.history.completed.get(entry.version)
            if left_as is not None and (
                is_no_wider(left_as, shape, self.policy) or self._opens_internal(left_as, shape)
            ):
                return [self._covered(entry, "is the last-good one again", 0)]
            return [self._completed(entry), self._outside(entry, "starts as completed", 1)]
        if ramp and shape == shape_at(ramp, 0, self.policy.internal_groups):
            return [self._covered(entry, "starts", max(1, ramp[0].approvals))]
        return [self._outside(entry, "starts outside the ramp", 1)]

    def rollback(self, entry: Entry, new: RolloutDocument) -> list[Change]:
        found = [*self._signed(entry)]
        offered = {e.version for e in new.entries if e.state in OFFERED and not e.rollback}
        for version in sorted(entry.from_versions):
            if not any(
                version in by_version and entry.version in by_version[version].rollback_to
                for by_version in self.releases.values()
            ):
                found.append(_never(f"{version} to {entry.version}: no signed edge"))
            if version in offered:
                found.append(_never(f"{version} to {entry.version}: {version} is still offered"))
        return [*found, _narrowing(entry, "rolled back to", Act.ROLLBACK)]

    def changed(self, was: Entry, entry: Entry) -> list[Change]:
        if RolloutState.PULLED in {was.state, entry.state}:  # what is withdrawn exposes nobody
            is_new = was.state is not RolloutState.PULLED
            return [_narrowing(entry, "pulled", Act.PULL)] if is_new else []
        named = self._internal(was, entry)
        if named:
            was = replace(was, rings=entry.rings)
        parts = [
            *named,
            *self._state(was, entry),
            *self._exposure(was, entry),
            *self._holds(was, entry),
            *self._from(was, entry),
        ]
        kinds = {part.kind for part in parts if part not in named}
        if kinds.isdisjoint(_RAISING):
            return parts
        if ChangeKind.DE_ESCALATION in kinds:
            parts.append(self._outside(entry, "both narrower and wider"))
        return [*parts, *self._bounds(entry)]

    def _internal(self, was: Entry, entry: Entry) -> list[Change]:
        """Judge what becomes of an entry because the policy named its first internal groups.

        That comes with the next change of the document, whatever it is, and must not stand in
        the way of a pause, a pull or a hold.
        """
        before, after = shape_of(was), shape_of(entry)
        if self._opens_internal(before, after):
            return [self._covered(entry, "for the internal groups too", 0)]
        # What is paused takes nobody in, and it is people who resume it.
        if entry.state is RolloutState.PAUSED and adds_internal(before, after, self.policy):
            return [_narrowing(entry, "for the internal groups too")]
        return []

    def _state(self, was: Entry, entry: Entry) -> list[Change]:
        if was.state is entry.state:
            return []
        if entry.state is RolloutState.PAUSED:
            return [_narrowing(entry, "paused", Act.PAUSE)]
        if was.state is RolloutState.PAUSED:
            if entry.state is RolloutState.COMPLETED:
                return [_never(f"{entry.version}: completed while it was paused")]
            return [self._resumed(entry)]
        if entry.state is RolloutState.COMPLETED:
            return [self._completed(entry)]
        return [self._covered(entry, "is active", 0)]

    def _resumed(self, entry: Entry) -> Change:
        automatic = not entry.rollback and entry.version in self.history.paused_automatically
        needed = self.policy.approvals.resume_after_auto_pause if automatic else 1
        why = f"{entry.version}: resumed after {'an automatic' if automatic else 'a'} pause"
        return Change(kind=ChangeKind.RESUME, why=(why,), approvals_needed=max(1, needed))

    def _completed(self, entry: Entry) -> Change:
        # A completed version may come back by itself, so it must have reached everybody. What
        # it widens by on the way is judged as any widening.
        if entry.exposure_bp != FULL_EXPOSURE_BP:
            return _never(f"{entry.version}: completed at {_percent(entry.exposure_bp)}")
        return self._covered(entry, "is completed", 0)

    def _exposure(self, was: Entry, entry: Entry) -> list[Change]:
        if shape_of(was) == shape_of(entry):
            return []
        if is_no_wider(shape_of(was), shape_of(entry), self.policy):
            return [_narrowing(entry, "narrower")]
        position = next_ramp_position(was, entry, self.policy)
        if position is None:
            return [self._outside(entry, "wider, outside the ramp")]
        before = self.policy.ramp[position - 1]
        since = self.history.since.get(entry.rollout) if entry.rollout else None
        over_at = (since or self.now) + timedelta(seconds=before.soak_seconds)
        if self.now < over_at:
            why = f"ring {before.ring} is to soak until {over_at:%Y-%m-%d %H:%M:%S} UTC"
            return [self._outside(entry, why)]
        step = self.policy.ramp[position]
        return [self._covered(entry, f"promoted to {step.ring}", step.approvals)]

    def _opens_internal(self, was: Shape, now: Shape) -> bool:
        """Whether all that *now* adds is what the ramp opens before anything else.

        Whoever approved the rollout's start approved as much.
        """
        ramp = self.policy.ramp
        begins_internal = bool(ramp) and ramp[0].exposure_bp is None
        return begins_internal and adds_internal(was, now, self.policy)

    def _holds(self, was: Entry, entry: Entry) -> list[Change]:
        lost = [self._outside(entry, f"hold {hold.id} lifted") for hold in lost_holds(was, entry)]
        added = [hold for hold in entry.holds if hold not in was.holds]
        return lost + [_narrowing(entry, f"hold {hold.id} placed") for hold in added]

    def _from(self, was: Entry, entry: Entry) -> list[Change]:
        if was.from_versions == entry.from_versions:
            return []
        fewer = entry.from_versions and (
            not was.from_versions or entry.from_versions < was.from_versions
        )
        if fewer:
            return [_narrowing(entry, "for fewer versions")]
        return [self._outside(entry, "for more versions")]

    def _covered(self, entry: Entry, why: str, approvals: int) -> Change:
        return Change(
            kind=ChangeKind.COVERED, why=(f"{entry.version}: {why}",), approvals_needed=approvals
        )

    def _outside(self, entry: Entry, why: str, at_least: int = 0) -> Change:
        return Change(
            kind=ChangeKind.ESCALATION,
            why=(f"{entry.version}: {why}",),
            approvals_needed=max(at_least, self.policy.approvals.outside_ramp),
        )

    def _signed(self, entry: Entry) -> list[Change]:
        version, floor = entry.version, self.policy.floor
        if not any(version in by_version for by_version in self.releases.values()):
            return [_never(f"{version}: not among the signed releases")]
        if version in self.policy.revoked:
            return [_never(f"{version}: revoked")]
        if floor is not None and version < floor:
            return [_never(f"{version}: below the floor {floor}")]
        return []

    def _bounds(self, entry: Entry) -> list[Change]:
        found = [by[entry.version] for by in self.releases.values() if entry.version in by]
        ceiling_bp = min(
            (ceiling_at(self.policy, release, self.now) for release in found), default=0
        )
        capped = [r.exposure_bp for r in entry.rings if not is_internal(r, self.policy)]
        parts = self._signed(entry)
        if found and not entry.rollback and max(capped, default=0) > ceiling_bp:
            shares = f"{_percent(max(capped))} is above the ceiling of {_percent(ceiling_bp)}"
            parts.append(_never(f"{entry.version}: {shares}"))
        return parts
