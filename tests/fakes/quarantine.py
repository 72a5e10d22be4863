"""Reports that were set aside, and what arrived, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollout.model import Arm, RolloutId
from tests.fakes.state import State
from update_server.service.ports import Event
from update_server.service.ports.arrivals import MINUTE, Arrived
from update_server.service.ports.quarantine import MOST_KEPT, TAG_BYTES, Aside, Kept, RuleCount

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FakeQuarantine:
    """See quarantine_ports.QuarantineStore."""

    def __init__(self, state: State) -> None:
        self._state = state

    def arms(
        self, rollouts: Sequence[RolloutId], installs: Collection[bytes]
    ) -> Mapping[bytes, Arm]:
        found: dict[bytes, Arm] = {}
        for rollout in rollouts:
            for install in installs:
                one = self._state.progress.get((rollout, install))
                if one is not None and one.arm is not None:
                    found.setdefault(install, one.arm)
        return found

    def add(self, asides: Sequence[Aside]) -> None:
        self._state.write()
        for aside in asides:
            event = aside.event
            day = (event.received_at - _EPOCH).days
            key = event.app, day, event.quarantine, aside.arm
            self._state.aside_counts[key] = self._state.aside_counts.get(key, 0) + 1
            if sum(_is_of(each, event.app, event.quarantine) for each in self._all()) < MOST_KEPT:
                number = next(self._state.numbers)
                self._state.asides[number] = (
                    Kept(id=number, rule=event.quarantine, arm=aside.arm, event=event),
                    False,
                )

    def counts(self, app: str) -> Sequence[RuleCount]:
        events: Counter[tuple[str, str]] = Counter()
        for (of, _, rule, arm), by in self._state.aside_counts.items():
            if of == app:
                events[rule, arm] += by
        kept = Counter((each.rule, each.arm) for each in self._waiting(app))
        senders = {(each.rule, each.arm, each.event.install_key) for each in self._waiting(app)}
        installs = Counter((rule, arm) for rule, arm, key in senders if key)
        return [
            RuleCount(
                rule=rule,
                arm=arm,
                events=events[rule, arm],
                kept=kept[rule, arm],
                installs=installs[rule, arm],
            )
            for rule, arm in sorted({*events, *kept})
        ]

    def page(
        self, app: str, *, rule: str | None, before_id: int | None, limit: int
    ) -> Sequence[Kept]:
        found = [
            each
            for each in reversed(self._waiting(app))
            if (rule is None or each.rule == rule) and (before_id is None or each.id < before_id)
        ]
        return found[:limit]

    def of_install(self, app: str, install_key: bytes) -> Sequence[tuple[str, int]]:
        keys = {install_key, install_key[:TAG_BYTES]}
        mine = Counter(e.rule for e in self._waiting(app) if e.event.install_key in keys)
        return sorted(mine.items())

    def accept(self, app: str, rule: str, version: str | None) -> int:
        return self._decide(app, rule, version, lambda kept: (kept, True))

    def drop(self, app: str, rule: str, version: str | None) -> int:
        return self._decide(app, rule, version, lambda _: None)

    def _decide(
        self,
        app: str,
        rule: str,
        version: str | None,
        become: Callable[[Kept], tuple[Kept, bool] | None],
    ) -> int:
        self._state.write()
        chosen = [
            each
            for each in self._waiting(app)
            if each.rule == rule and version in {None, each.event.version}
        ]
        for each in chosen:
            after = become(each)
            if after is None:
                del self._state.asides[each.id]
            else:
                self._state.asides[each.id] = after
        return len(chosen)

    def has_accepted(self) -> bool:
        return any(accepted for _, accepted in self._state.asides.values())

    def take_accepted(self, limit: int) -> Sequence[Event]:
        self._state.write()
        taken = [kept for kept, accepted in self._state.asides.values() if accepted][:limit]
        for kept in taken:
            del self._state.asides[kept.id]
            event = kept.event
            self._state.seen.pop((event.app, event.install_key, event.id), None)
        return [replace(kept.event, quarantine="") for kept in taken]

    def forget_install(self, app: str, install_key: bytes) -> None:
        self._state.write()
        self._state.asides = {
            number: (kept, accepted)
            for number, (kept, accepted) in self._state.asides.items()
            if (kept.event.app, kept.event.install_key) != (app, install_key)
        }

    def expire(self, before: datetime) -> None:
        self._state.write()
        self._state.asides = {
            number: (kept, accepted)
            for number, (kept, accepted) in self._state.asides.items()
            if kept.event.received_at >= before
        }
        day = (before - _EPOCH).days
        counts = self._state.aside_counts.items()
        self._state.aside_counts = {key: by for key, by in counts if key[1] >= day}

    def _all(self) -> Sequence[Kept]:
        return [kept for kept, _ in self._state.asides.values()]

    def _waiting(self, app: str) -> Sequence[Kept]:
        held = self._state.asides.values()
        return [kept for kept, accepted in held if kept.event.app == app and not accepted]


class FakeArrivals:
    """See arrival_ports.ArrivalStore."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, arrived: Sequence[Arrived]) -> None:
        self._state.write()
        for one in arrived:
            key = one.app, one.minute, one.kind, one.code
            old = self._state.arrivals.get(key, replace(one, events=0))
            self._state.arrivals[key] = replace(
                one,
                events=old.events + one.events,
                late_seconds=max(old.late_seconds, one.late_seconds),
                last_at=max(filter(None, (old.last_at, one.last_at)), default=None),
            )

    def since(self, app: str, at: datetime, step: timedelta = MINUTE) -> Sequence[Arrived]:
        found: dict[tuple[datetime, str, str], list[Arrived]] = {}
        for each in self._state.arrivals.values():
            if each.app == app and each.minute >= at:
                began = each.minute - (each.minute - _EPOCH) % step
                found.setdefault((began, each.kind, each.code), []).append(each)
        return [
            replace(
                some[0],
                minute=began,
                events=sum(each.events for each in some),
                late_seconds=max(each.late_seconds for each in some),
                last_at=max((each.last_at for each in some if each.last_at), default=None),
            )
            for (began, _, _), some in sorted(found.items(), key=lambda item: item[0])
        ]

    def expire(self, before: datetime) -> None:
        self._state.write()
        held = self._state.arrivals.items()
        self._state.arrivals = {key: one for key, one in held if one.minute >= before}


def _is_of(kept: Kept, app: str, rule: str) -> bool:
    return (kept.event.app, kept.rule) == (app, rule)
