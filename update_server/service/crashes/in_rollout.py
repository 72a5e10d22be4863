"""Which crashes those who take part in a rollout have, in both arms, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rollout.model import Arm, RolloutId
from update_server.evidence.weighing import SIGNATURE_PREFIX
from update_server.service.crashes.groups import TITLES
from update_server.service.ports import Stores
from update_server.service.ports.crashes import CrashCount

_OFFERED: Final = (Arm.CANDIDATE, Arm.INTERNAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashInRollout:
    """A signature, on so many installs of each arm, whatever version they ran.

    ``log_e`` and ``needed`` are what the newest decision weighed it with, None where it did not.
    ``is_new`` is None of what stands for several signatures.
    """

    signature: str
    title: str
    installs: Mapping[Arm, int]
    reports: int
    first_at: datetime
    last_at: datetime
    log_e: float | None = None
    needed: float | None = None
    is_new: bool | None = None

    @property
    def offered(self) -> int:
        """How many installs have it that were offered the release."""
        return sum(self.installs[arm] for arm in _OFFERED)


def crashes_in(
    counts: Iterable[CrashCount],
    titles: Mapping[str, str],
    record: Mapping[str, Any] | None,
    known: Collection[str] | None,
) -> Sequence[CrashInRollout]:
    """Return the crashes behind *counts*: by evidence, then by installs that have them.

    *record* is that of the newest decision; *known* are the signatures that are not new.
    """
    by_signature: dict[str, list[CrashCount]] = {}
    for one in counts:
        if not one.handled:
            by_signature.setdefault(one.signature, []).append(one)
    weighed = record["log_e_by_metric"] if record else {}
    found = []
    for signature, here in by_signature.items():
        installs = Counter[str]()
        for one in here:
            installs[one.arm] += one.installs
        metric = weighed.get(f"{SIGNATURE_PREFIX}{signature}", {})
        is_one = signature not in TITLES
        found.append(
            CrashInRollout(
                signature=signature,
                title=titles.get(signature) or TITLES.get(signature, signature),
                installs={arm: installs[arm] for arm in Arm},
                reports=sum(one.reports for one in here),
                first_at=min(one.first_at for one in here),
                last_at=max(one.last_at for one in here),
                log_e=metric.get("log_e"),
                needed=metric.get("needed"),
                is_new=signature not in known if is_one and known is not None else None,
            )
        )
    return sorted(found, key=_rank)


def newest_counts(
    stores: Stores, rollouts: Collection[RolloutId]
) -> Mapping[RolloutId, Sequence[CrashCount]]:
    """Return the counts of what ``newest_of`` would return of all crashes of each of *rollouts*."""
    return stores.crashes.newest_of(rollouts, arms=_OFFERED, but=TITLES)


def newest_of(crashes: Iterable[CrashInRollout]) -> CrashInRollout | None:
    """Return the one that was seen first most lately, of those that the release itself shows."""
    of_release = [each for each in crashes if each.offered and each.signature not in TITLES]
    return max(of_release, key=lambda each: (each.first_at, each.signature), default=None)


def _rank(one: CrashInRollout) -> tuple[float, int, int, str]:
    evidence = float("-inf") if one.log_e is None else one.log_e
    return -evidence, -one.offered, -sum(one.installs.values()), one.signature
