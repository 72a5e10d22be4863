"""Operators, their sessions and failures in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tests.fakes.state import State
from update_server.service.ports import ExistsError, NotFoundError
from update_server.service.ports.access import person_called
from update_server.service.ports.operators import Failures, Operator, PasswordLink, Session


class FakeOperators:
    """See ports.Operators."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, operator: Operator) -> None:
        self._state.write()
        if operator.app is not None:
            self._state.require_app(operator.app)
        if operator.id in self._state.operators:
            raise ExistsError("operator", operator.name)
        self._put(operator)

    def update(self, operator: Operator) -> None:
        self._state.write()
        self.get(operator.id)
        self._put(operator)

    def _put(self, operator: Operator) -> None:
        for other in self._state.operators.values():
            if operator.removed_at or other.removed_at or other.id == operator.id:
                continue
            same_identity = operator.identity is not None and other.identity == operator.identity
            if other.person == operator.person or same_identity:
                raise ExistsError("operator", operator.name)
        self._state.operators[operator.id] = operator

    def get(self, operator_id: str) -> Operator:
        return self._one(lambda each: each.id == operator_id, operator_id)

    def named(self, name: str) -> Operator:
        person = person_called(name)
        return self._one(lambda each: not each.removed_at and each.person == person, name)

    def identified(self, identity: str) -> Operator:
        return self._one(lambda each: not each.removed_at and each.identity == identity, identity)

    def all(self) -> Sequence[Operator]:
        return sorted(self._state.operators.values(), key=lambda each: (each.created_at, each.id))

    def _one(self, fits: Callable[[Operator], bool], key: str) -> Operator:
        for operator in self._state.operators.values():
            if fits(operator):
                return operator
        raise NotFoundError("operator", key)

    def put_link(self, link: PasswordLink) -> None:
        self._state.write()
        self._state.links[link.operator_id] = link

    def link(self, sha256: str, now: datetime) -> PasswordLink:
        for link in self._state.links.values():
            if link.sha256 == sha256 and link.expires_at > now:
                return link
        raise NotFoundError("password link", sha256)

    def drop_link(self, operator_id: str) -> bool:
        self._state.write()
        return self._state.links.pop(operator_id, None) is not None

    def add_session(self, session: Session) -> None:
        self._state.write()
        self._state.signed_in[session.sha256] = session

    def session(self, sha256: str) -> tuple[Session, Operator]:
        if sha256 not in self._state.signed_in:
            raise NotFoundError("session", sha256)
        session = self._state.signed_in[sha256]
        return session, self.get(session.operator_id)

    def touch_session(self, sha256: str, at: datetime) -> None:
        self._state.write()
        if sha256 in self._state.signed_in:
            touched = replace(self._state.signed_in[sha256], seen_at=at)
            self._state.signed_in[sha256] = touched

    def end_session(self, sha256: str) -> None:
        self._state.write()
        self._state.signed_in.pop(sha256, None)

    def end_sessions(self, operator_id: str, *, but: str | None = None) -> int:
        found = [e for e in self._state.signed_in.values() if e.operator_id == operator_id]
        ended = [each.sha256 for each in found if each.sha256 != but]
        for sha256 in ended:
            self.end_session(sha256)
        return len(ended)

    def forget_sessions(self, now: datetime) -> None:
        for session in list(self._state.signed_in.values()):
            if not session.is_live(now):
                self.end_session(session.sha256)

    def failures(self, keys: Iterable[str]) -> Mapping[str, Failures]:
        return {key: self._state.failures[key] for key in keys if key in self._state.failures}

    def put_failures(self, failures: Failures) -> None:
        self._state.write()
        self._state.failures[failures.key] = failures

    def clear_failures(self, key: str) -> None:
        self._state.write()
        self._state.failures.pop(key, None)

    def forget_failures(self, before: datetime) -> None:
        self._state.write()
        for each in list(self._state.failures.values()):
            if each.last_at < before:
                del self._state.failures[each.key]
