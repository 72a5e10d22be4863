"""Studies, their registers, decisions and histories of installs in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime

from rollout.model import RolloutId
from tests.fakes.state import State
from update_server.service.ports import ChangedError, ExistsError, NotFoundError, Phase
from update_server.service.ports.studies import (
    History,
    LastContact,
    LogKind,
    Progress,
    StoredDecision,
    StoredLabel,
    StoredMember,
    StoredStudy,
    StudyHead,
    WindowsOfDay,
)


class FakeStudies:
    """See study_ports.Studies."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, study: StoredStudy) -> None:
        self._state.write()
        if study.rollout in self._state.studies:
            raise ExistsError("study", study.rollout)
        self._state.studies[study.rollout] = study

    def get(self, rollout: RolloutId) -> StoredStudy:
        if rollout not in self._state.studies:
            raise NotFoundError("study", rollout)
        return self._state.studies[rollout]

    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredStudy]:
        held = self._state.studies
        return {rollout: held[rollout] for rollout in rollouts if rollout in held}

    def live(self) -> Sequence[StudyHead]:
        names = [field.name for field in fields(StudyHead)]
        found = [one for one in self._state.studies.values() if one.ended_at is None]
        found.sort(key=lambda study: (study.opened_at, study.rollout))
        return [StudyHead(**{name: getattr(one, name) for name in names}) for one in found]

    def replace(self, study: StoredStudy, expected_version: int) -> None:
        self._state.write()
        old = self.get(study.rollout)
        if old.version != expected_version or old.ended_at is not None:
            raise ChangedError("study", study.rollout)
        new = replace(old, state=study.state, version=expected_version + 1)
        self._state.studies[study.rollout] = new

    def end(self, rollout: RolloutId, at: datetime) -> None:
        self._state.write()
        study = self.get(rollout)
        self._state.studies[rollout] = replace(study, ended_at=study.ended_at or at)
        self.drop_facts(rollout, list(self._state.facts))
        for key in [key for key in self._state.forgotten if key[0] == rollout]:
            del self._state.forgotten[key]
            self._state.members.pop(key, None)

    def add_facts(self, rollout: RolloutId, facts: Sequence[bytes]) -> None:
        self._state.write()
        for fact in facts:
            self._state.facts[next(self._state.numbers)] = (rollout, fact)

    def facts(self, rollout: RolloutId, limit: int) -> Sequence[tuple[int, bytes]]:
        every = self._state.facts.items()
        return [(number, fact) for number, (of, fact) in every if of == rollout][:limit]

    def count_facts(self, rollout: RolloutId) -> int:
        return sum(of == rollout for of, _ in self._state.facts.values())

    def drop_facts(self, rollout: RolloutId, numbers: Sequence[int]) -> None:
        self._state.write()
        for number in numbers:
            if self._state.facts.get(number, ("", b""))[0] == rollout:
                del self._state.facts[number]

    def add_log(self, rollout: RolloutId, entries: Sequence[StoredLabel]) -> None:
        self._state.write()
        for number, entry in enumerate(entries, start=self.log_size(rollout) + 1):
            self._state.study_log[rollout, number] = entry

    def log_size(self, rollout: RolloutId) -> int:
        return len(self.whole_log(rollout))

    def log(
        self,
        rollout: RolloutId,
        epoch: int,
        metric: str,
        kind: LogKind,
        *,
        first: int | None = None,
    ) -> Sequence[StoredLabel]:
        wanted = (epoch, metric, kind)
        every = self.whole_log(rollout, first=first)
        return [entry for entry in every if (entry.epoch, entry.metric, entry.kind) == wanted]

    def strike(self, rollout: RolloutId, numbers: Sequence[int]) -> None:
        self._state.write()
        for number in numbers:
            entry = self._state.study_log[rollout, number]
            self._state.study_log[rollout, number] = replace(entry, struck=True)

    def whole_log(self, rollout: RolloutId, *, first: int | None = None) -> Sequence[StoredLabel]:
        return [entry for key, entry in self._state.study_log.items() if key[0] == rollout][:first]

    def forget_install(self, app: str, install_key: bytes) -> None:
        self._state.write()
        for study in self._state.studies.values():
            key = (study.rollout, install_key)
            if study.app != app or key not in self._state.members:
                continue
            if study.ended_at is not None or self._state.members[key].left:
                del self._state.members[key]
            else:
                self._state.forgotten[key] = True

    def expire(self, *, ended_before: datetime) -> None:
        self._state.write()
        gone = {
            study.rollout
            for study in self._state.studies.values()
            if study.ended_at is not None and study.ended_at < ended_before
        }
        members = self._state.members.items()
        self._state.members = {key: one for key, one in members if key[0] not in gone}
        for key, entry in self._state.study_log.items():
            if key[0] in gone:
                self._state.study_log[key] = replace(entry, networks=b"")


class FakeRegisters:
    """See study_ports.Registers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def members(self, rollout: RolloutId, installs: Iterable[bytes]) -> Mapping[bytes, bytes]:
        found = {install: self._state.members.get((rollout, install)) for install in installs}
        return {install: member.body for install, member in found.items() if member is not None}

    def put_members(self, rollout: RolloutId, members: Mapping[bytes, StoredMember]) -> None:
        self._state.write()
        for install, member in members.items():
            key = (rollout, install)
            self._state.members[key] = member
            if member.left and self._state.forgotten.pop(key, False):
                del self._state.members[key]

    def remove_members(self, rollout: RolloutId, installs: Iterable[bytes]) -> None:
        self._state.write()
        for install in installs:
            self._state.members.pop((rollout, install), None)
            self._state.forgotten.pop((rollout, install), None)

    def due_members(self, rollout: RolloutId, now: float) -> Sequence[tuple[bytes, bytes]]:
        found = sorted(
            (member.due_at, install, member.body)
            for (of, install), member in self._state.members.items()
            if of == rollout and member.due_at is not None and member.due_at <= now
        )
        return [(install, body) for _, install, body in found]

    def members_of_network(
        self, rollout: RolloutId, network: bytes
    ) -> Sequence[tuple[bytes, bytes]]:
        return self._found(rollout, lambda member: member.network == network)

    def members_of_platform(
        self, rollout: RolloutId, platform: str
    ) -> Sequence[tuple[bytes, bytes]]:
        return self._found(rollout, lambda member: member.platform == platform)

    def count_members(self, rollout: RolloutId) -> int:
        return len(self._found(rollout, lambda _: True))

    def _found(
        self, rollout: RolloutId, wanted: Callable[[StoredMember], bool]
    ) -> Sequence[tuple[bytes, bytes]]:
        return sorted(
            (install, member.body)
            for (of, install), member in self._state.members.items()
            if of == rollout and wanted(member)
        )


class FakeDecisions:
    """See study_ports.Decisions."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, decision: StoredDecision) -> StoredDecision:
        self._state.write()
        if decision.id in self._state.decisions:
            raise ExistsError("decision", decision.id)
        numbered = replace(decision, number=next(self._state.numbers))
        self._state.decisions[decision.id] = numbered
        return numbered

    def get(self, decision_id: str) -> StoredDecision:
        if decision_id not in self._state.decisions:
            raise NotFoundError("decision", decision_id)
        return self._state.decisions[decision_id]

    def page(
        self, app: str, *, rollout: RolloutId | None = None, before: int | None = None, limit: int
    ) -> Sequence[StoredDecision]:
        found = [
            one
            for one in reversed(self._state.decisions.values())
            if one.app == app
            and rollout in {None, one.rollout}
            and (before is None or one.number < before)
        ]
        return found[:limit]

    def newest(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, StoredDecision]:
        return {
            one.rollout: one for one in self._state.decisions.values() if one.rollout in rollouts
        }

    def of_verdicts(
        self, rollouts: Collection[RolloutId], verdicts: Collection[str], limit: int
    ) -> Sequence[StoredDecision]:
        found = [
            each
            for each in self._state.decisions.values()
            if each.rollout in rollouts and each.verdict in verdicts
        ]
        return sorted(found, key=lambda each: each.number)[:limit]

    def undone(self) -> Sequence[StoredDecision]:
        return [one for one in self._state.decisions.values() if one.carried_out_at is None]

    def mark_done(self, decision_id: str, at: datetime, outcome: str) -> None:
        self._state.write()
        decision = self.get(decision_id)
        if decision.carried_out_at is None:
            done = replace(decision, carried_out_at=at, outcome=outcome)
            self._state.decisions[decision_id] = done

    def note(self, decision_id: str, outcome: str) -> None:
        self._state.write()
        decision = self._state.decisions.get(decision_id)
        if decision is not None and decision.carried_out_at is None:
            self._state.decisions[decision_id] = replace(decision, outcome=outcome)

    def contest(self, decision_id: str) -> None:
        self._state.write()
        decision = self.get(decision_id)
        record = {**decision.record, "contested": True}
        self._state.decisions[decision_id] = replace(decision, record=record)


class FakeHistories:
    """See study_ports.Histories."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, app: str, installs: Iterable[bytes]) -> Mapping[bytes, History]:
        held = self._state.histories
        return {install: held[app, install] for install in installs if (app, install) in held}

    def sample(self, app: str, limit: int, *, channel: str | None = None) -> Sequence[History]:
        held = sorted((key, one) for (of, key), one in self._state.histories.items() if of == app)
        seen = self._state.contacts
        return [
            one
            for key, one in held
            if channel is None or ((app, key) in seen and seen[app, key].channel == channel)
        ][:limit]

    def put(self, app: str, histories: Mapping[bytes, History]) -> None:
        self._state.write()
        self._state.histories.update(((app, key), one) for key, one in histories.items())

    def last_contact(self, app: str, install_key: bytes) -> LastContact | None:
        one = self._state.contacts.get((app, install_key))
        if one is None:
            return None
        return LastContact(**{each.name: getattr(one, each.name) for each in fields(LastContact)})

    def progress_of(self, rollout: RolloutId, install_key: bytes) -> Progress | None:
        one = self._state.progress.get((rollout, install_key))
        if one is None:
            return None
        steps = tuple(step for step in ("contacts", *Phase) if step in one.steps)
        return Progress(ring=one.ring, arm=one.arm, steps=steps, last_at=one.last_at)

    def forget_install(self, app: str, install_key: bytes) -> None:
        self._state.write()
        self._state.histories.pop((app, install_key), None)

    def expire(self, *, heard_before: float) -> None:
        self._state.write()
        self._state.histories = {
            key: one
            for key, one in self._state.histories.items()
            if max((one.first_at, *one.seen, *one.crashes)) >= heard_before
        }
        self._state.windows = [
            (app, one) for app, one in self._state.windows if one.day >= int(heard_before // 86_400)
        ]

    def add_windows(self, app: str, counted: Sequence[WindowsOfDay]) -> None:
        if counted:
            self._state.write()
            self._state.windows += [(app, one) for one in counted]

    def windows(
        self, app: str, channel: str, *, since: int, until: int
    ) -> Sequence[tuple[int, int, int]]:
        sums: dict[int, tuple[int, int]] = {}
        for of, one in self._state.windows:
            if (of, one.channel) == (app, channel) and since <= one.day < until:
                windows, returned = sums.get(one.stratum, (0, 0))
                sums[one.stratum] = (windows + one.windows, returned + one.returned)
        return [(stratum, *counts) for stratum, counts in sorted(sums.items())]
