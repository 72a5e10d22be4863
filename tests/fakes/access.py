"""Tokens, groups, enrolments and secrets in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.fakes.state import State
from update_server.service.ports import (
    ApiToken,
    Enrolment,
    EnrolmentCode,
    ExistsError,
    Group,
    NotFoundError,
)


class FakeAccess:
    """See ports.Access."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add_token(self, token: ApiToken) -> None:
        self._state.write()
        if token.app is not None:
            self._state.require_app(token.app)
        held = self._state.tokens
        if token.id in held or any(one.sha256 == token.sha256 for one in held.values()):
            raise ExistsError("token", token.id)
        held[token.id] = token

    def token_by_hash(self, sha256: str) -> ApiToken:
        for token in self._state.tokens.values():
            if token.sha256 == sha256:
                return token
        raise NotFoundError("token", sha256)

    def tokens(self) -> Sequence[ApiToken]:
        return sorted(self._state.tokens.values(), key=lambda one: (one.created_at, one.id))

    def revoke_token(self, token_id: str, at: datetime) -> None:
        self._state.write()
        token = self._state.tokens.get(token_id)
        if token is None:
            raise NotFoundError("token", token_id)
        self._state.tokens[token_id] = replace(token, revoked_at=token.revoked_at or at)

    def add_group(self, group: Group) -> None:
        self._state.write()
        self._state.require_app(group.app)
        if (group.app, group.name) in self._state.groups:
            raise ExistsError("group", group.name)
        self._state.groups[group.app, group.name] = group

    def groups(self, app: str) -> Sequence[Group]:
        live = [one.group for one in self.enrolments(app)]
        found = sorted((g for g in self._state.groups.values() if g.app == app), key=_name)
        return [replace(group, members=live.count(group.name)) for group in found]

    def remove_group(self, app: str, name: str, at: datetime) -> None:
        self._state.write()
        self._require_group(app, name)
        del self._state.groups[app, name]
        for code in self.codes(app):
            if code.group == name:
                self.revoke_code(app, code.id, at)
        for enrolment in self.enrolments(app):
            if enrolment.group == name:
                self._state.enrolments[enrolment.sha256] = replace(enrolment, revoked_at=at)

    def add_code(self, code: EnrolmentCode) -> None:
        self._state.write()
        self._require_group(code.app, code.group)
        taken = [one.sha256 for one in self.codes(code.app)]
        if code.id in self._state.codes or code.sha256 in taken:
            raise ExistsError("enrolment code", code.id)
        self._state.codes[code.id] = code

    def codes(self, app: str) -> Sequence[EnrolmentCode]:
        found = [code for code in self._state.codes.values() if code.app == app]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def use_code(self, app: str, sha256: str, now: datetime) -> EnrolmentCode:
        self._state.write()
        for code in self.codes(app):
            live = code.revoked_at is None and code.expires_at > now and code.uses_left > 0
            if code.sha256 == sha256 and live:
                used = replace(code, uses_left=code.uses_left - 1)
                self._state.codes[code.id] = used
                return used
        raise NotFoundError("enrolment code", sha256)

    def revoke_code(self, app: str, code_id: str, at: datetime) -> None:
        self._state.write()
        code = self._state.codes.get(code_id)
        if code is None or code.app != app:
            raise NotFoundError("enrolment code", code_id)
        self._state.codes[code_id] = replace(code, revoked_at=code.revoked_at or at)

    def add_enrolment(self, enrolment: Enrolment) -> None:
        self._state.write()
        self._require_group(enrolment.app, enrolment.group)
        if enrolment.sha256 in self._state.enrolments:
            raise ExistsError("enrolment", enrolment.sha256)
        for old in self.enrolments(enrolment.app):
            if (old.group, old.install_key) == (enrolment.group, enrolment.install_key):
                revoked = replace(old, revoked_at=enrolment.created_at)
                self._state.enrolments[old.sha256] = revoked
        self._state.enrolments[enrolment.sha256] = enrolment

    def enrolments(self, app: str) -> Sequence[Enrolment]:
        found = [one for one in self._state.enrolments.values() if one.app == app]
        return [one for one in found if one.revoked_at is None]

    def enrolments_of(self, app: str, install_key: bytes) -> Sequence[Enrolment]:
        return [one for one in self.enrolments(app) if one.install_key == install_key]

    def secret(self, name: str) -> bytes:
        if name not in self._state.secrets:
            raise NotFoundError("secret", name)
        return self._state.secrets[name]

    def add_secret(self, name: str, value: bytes) -> bytes:
        self._state.write()
        return self._state.secrets.setdefault(name, value)

    def idempotent(self, key: str) -> bytes | None:
        found = self._state.answers.get(key)
        return found and found[0]

    def remember_idempotent(self, key: str, answer: bytes, now: datetime) -> None:
        self._state.write()
        answers = self._state.answers
        answers.setdefault(key, (answer, now))
        for old in [k for k, (_, at) in answers.items() if at < now - timedelta(days=7)]:
            del answers[old]

    def _require_group(self, app: str, name: str) -> None:
        if (app, name) not in self._state.groups:
            raise NotFoundError("group", name)


def _name(group: Group) -> str:
    return group.name
