"""What one entry of a rollout document asks of an install, question by question.

The order is that of ``decide`` (docs/trust.md, 5b to 5e), and each question is answered by the
function that ``decide`` asks. It ends with the first one that keeps the install from the entry.
Pure. Not here: the decision itself (``rollout.decide``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rollout.audience import has_attributes, in_groups, is_general, slice_holds
from rollout.bucket import bucket_of
from rollout.eligibility import why_not_allowed
from rollout.model import (
    FULL_EXPOSURE_BP,
    OFFERED,
    Detail,
    Documents,
    Entry,
    Install,
    OpenRing,
)
from rollout.rings import ceiling_at, in_holdback, only_attributes_fail, ring_for, rings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question. ``passes``: it does not keep the install from the entry."""

    rule: str
    passes: bool
    detail: str


WHY_NOT: Final = {
    Detail.NOT_SIGNED: "nobody signed this version for this channel and platform",
    Detail.REVOKED: "the policy revoked this version",
    Detail.BELOW_FLOOR: "it is below the policy's floor",
    Detail.MIN_VERSION: "the installed version is too old for it, or not known",
    Detail.MIN_OS: "the operating system is too old for it, or not known",
    Detail.NO_ROLLBACK_EDGE: "it is older than what runs, and no signed way leads back to it",
    Detail.AUDIENCE: "no open ring is for an install with these attributes",
}
"""What each ``Detail`` says to people."""


def checks_of(
    entry: Entry, documents: Documents, install: Install, now: datetime
) -> Iterator[Check]:
    """Yield each question up to the first that keeps *install* from *entry*."""
    offered = entry.state in OFFERED
    yield Check(rule="state", passes=offered, detail=f"the rollout is {entry.state}")
    if not offered:
        return
    why = why_not_allowed(entry.version, documents, install)
    told = "signed for this platform, and may run here" if why is None else WHY_NOT[why]
    yield Check(rule="eligible", passes=why is None, detail=told)
    if why is not None:
        return
    for hold in entry.holds:
        holds = slice_holds(hold.audience, install)
        told = "keeps it where it is" if holds else "is about other installs"
        yield Check(rule="hold", passes=not holds, detail=f"{hold.title} ({hold.link}) {told}")
        if holds:
            return
    if not entry.holds:
        yield Check(rule="hold", passes=True, detail="no hold is in force")
    yield _ring(entry, documents, install, now)


def _ring(entry: Entry, documents: Documents, install: Install, now: datetime) -> Check:
    release = documents.releases[entry.version]
    bucket = bucket_of(release.salt, install.id)
    ceiling = ceiling_at(documents.policy, release, now)
    ring = ring_for(entry, install, bucket, policy=documents.policy, ceiling_bp=ceiling)
    if ring is not None:
        return Check(rule="ring", passes=True, detail=_taken(bucket, ring, entry, ceiling))
    if only_attributes_fail(entry, install):
        return Check(rule="ring", passes=False, detail=WHY_NOT[Detail.AUDIENCE])
    told = _left_out(bucket, entry, install, ceiling)
    return Check(rule="ring", passes=False, detail=told)


def _taken(bucket: int, ring: OpenRing, entry: Entry, ceiling: int) -> str:
    name = f" of ring {ring.name}" if ring.name else ""
    exposure = ring.exposure_bp
    bound = is_general(ring) and not entry.rollback and ceiling < exposure
    return f"bucket {bucket} < exposure {min(exposure, ceiling) if bound else exposure}{name}"


def _left_out(bucket: int, entry: Entry, install: Install, ceiling: int) -> str:
    if in_holdback(entry, bucket):
        first = FULL_EXPOSURE_BP - entry.holdback_bp
        return f"bucket {bucket} ≥ {first}: it is in the holdback of {entry.holdback_bp / 100:g} %"
    rings = rings_of(entry)
    if not rings:
        return f"bucket {bucket}, and no ring is open"
    told = "; ".join(_not_taken(bucket, ring, install) for ring in rings)
    if not entry.rollback and ceiling < max(ring.exposure_bp for ring in rings):
        return f"{told}; a release this young may have an exposure of {ceiling} at most"
    return told


def _not_taken(bucket: int, ring: OpenRing, install: Install) -> str:
    if not in_groups(ring.audience, install):
        return f"ring {ring.name} is for {', '.join(ring.audience.groups or ())}"
    if not has_attributes(ring.audience, install):
        return f"ring {ring.name} is for installs with other attributes"
    sign = "≥" if bucket >= ring.exposure_bp else "<"
    return f"bucket {bucket} {sign} exposure {ring.exposure_bp} of ring {ring.name}"
