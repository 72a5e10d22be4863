"""One visit to the server: the lock, the check-in, the decision, and then the events.

API and files may fail alone. Files without the API still update, on the strength of the signed
documents; the API without files only reports.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from packaging.version import Version

from client_agent.config import Telemetry
from client_agent.contact.bans import as_of, failures_for, with_room
from client_agent.contact.check_in import Answered, Standing, parse_answer, render_check_in
from client_agent.contact.identity import Identity
from client_agent.disk.os_errors import disk_errors
from client_agent.errors import AgentError, Code, DiskError, NetworkError, StateError
from client_agent.network.transport import Transport, status_error
from client_agent.platforms import Lock
from client_agent.reports.forgetting import Forgetting
from client_agent.running.parts import Parts
from client_agent.schedule import MAX_RETRY_AFTER_SECONDS
from client_agent.trust.decision import Decision, Hint
from client_agent.values import State
from rollout.model import Failure, Install, Policy, RolloutDocument

_OK = 200
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a visit found out: a decision or why there is none, and how the API did."""

    decision: Decision | None
    error: AgentError | None
    api_error: AgentError | None


class Visits:
    """The visits of one agent. One at a time."""

    def __init__(self, parts: Parts, identity: Identity, forgetting: Forgetting) -> None:
        self._parts = parts
        self.identity = identity
        self.forgetting = forgetting
        self.hint: Hint | None = None
        self.advised_seconds: int | None = None
        self.token: str | None = None
        self.timestamp_version = 0
        self.snapshot_sha256 = ""
        self.busy = StateError(Code.BUSY)
        """Why ``begin`` last returned False."""

        self._lock: Lock | None = None
        self._transport: Transport | None = None
        self._api_waits: tuple[datetime, float] | None = None
        """Until when the API asked to be left alone, by both clocks: one may be set, one sleep."""

    @property
    def transport(self) -> Transport:
        """The connections of this visit."""
        if self._transport is None:
            self._transport = self._parts.transport()
        return self._transport

    def begin(self) -> bool:
        """Take the install's lock; False when another agent has it: ``busy`` says who.

        Raises:
            DiskError: ROOT cannot be locked.
        """
        if self._lock is None:
            try:
                self._lock = self._parts.installation.lock()
            except StateError as error:
                self.busy = error
                return False
            self._look_who_we_are()
        return True

    def _look_who_we_are(self) -> None:
        """Follow a command beside us that joined a group, or became another install."""
        found = None if self.identity.volatile else self._parts.identities.stored()
        if found is not None and found != self.identity:
            if found.install_id != self.identity.install_id:
                self.hint = self.token = None
            self.identity = found

    def end(self) -> None:
        """Close the connections and give the lock back."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def holds_lock(self) -> bool:
        """Whether this agent may change anything in ROOT now."""
        return self._lock is not None

    def look(self, standing: Standing, *, ignore_bans: bool = False) -> Looked:
        """Check in, refresh, decide. Never raises what belongs in the answer.

        Raises:
            DiskError, StateError: The state cannot be read or put right.
        """
        api_error = self.check_in(standing)
        install = Install(
            id=self.identity.install_id,
            channel=self._parts.settings.app.channel,
            platform=self._parts.settings.app.platform,
            version=standing.version,
            groups=self.identity.groups,
            attributes=self._parts.attributes,
        )
        now = self._parts.clock.now()
        memory = _nothing if ignore_bans else _memory_of(self._with_room(self._state_as_of(now)))
        try:
            decision = self._parts.trust.refresh_and_decide(
                install, self.hint, self.transport, now, memory
            )
        except AgentError as error:
            if _is_not_found(error) and _is_not_found(api_error):
                error = api_error or error  # which says what is not found
            return Looked(decision=None, error=error, api_error=api_error)
        self.timestamp_version = decision.timestamp_version
        self.snapshot_sha256 = decision.snapshot_sha256
        if self.advised_seconds is None or api_error is not None:
            self.advised_seconds = decision.next_check_in_seconds
        return Looked(decision=decision, error=None, api_error=api_error)

    def check_in(self, standing: Standing) -> AgentError | None:
        """Ask the API; keep its hint and its token. Return the error when there is no answer."""
        now, tick = self._parts.clock.now(), self._parts.clock.monotonic()
        if self._api_waits and now < self._api_waits[0] and tick < self._api_waits[1]:
            return NetworkError(Code.ASKED_TO_WAIT)
        try:
            answered = self._ask(standing, now)
        except AgentError as error:
            if isinstance(error, NetworkError) and error.retry_after_seconds:
                wait = min(error.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
                self._api_waits = now + timedelta(seconds=wait), tick + wait
            return error
        # The hint lives until the next check-in, which an unsafe speed brings nearer.
        period = self._parts.schedule.scaled(answered.hint.good_for_seconds)
        self.hint = replace(answered.hint, good_for_seconds=period)
        self.advised_seconds = answered.next_check_in_seconds
        self._keep_token(standing.version, answered)
        return None

    def report(self, running: Version | None) -> None:
        """Send what is in the spool, and the wishes to be forgotten.

        Raises:
            NetworkError, TrustError, DiskError: What did not arrive stays for later.
        """
        spool, now = self._parts.spool, self._parts.clock.now()
        if running is not None:
            self._parts.reporter.dropped(running)
        spool.trim(now)
        spool.urgent_waiting = False
        tokens = dict(self._parts.installation.state.read().tokens)
        level = self._parts.reporter.level
        if level is Telemetry.OFF:  # another process here may have been allowed more
            spool.clear("off")
        else:
            self._parts.sender.send(
                self.identity.install_id,
                tokens,
                self.transport,
                now,
                in_full=level is Telemetry.CRASH,
                own_tokens=not self.identity.volatile,
            )
        self.forgetting.deliver(self._parts.sender, self.transport)
        if level is Telemetry.CRASH:
            self._report_dumps()
        else:  # from before somebody wanted less to be told
            self._parts.minidumps.clear()

    def _report_dumps(self) -> None:
        parts = self._parts
        parts.minidumps.collect(parts.installation.markers(), only_living=True)
        parts.minidumps.send(parts.settings.app, parts.installation.state.read(), self.transport)

    def _state_as_of(self, now: datetime) -> State:
        store = self._parts.installation.state
        state = store.read()
        if as_of(state, now) == state:
            return state
        return store.update(lambda stored: as_of(stored, now))

    def _with_room(self, state: State) -> State:
        if all(failure.needed_bytes is None for failure in state.failures):
            return state
        with disk_errors():
            free_bytes = self._parts.platform.free_bytes(self._parts.settings.root)
        return replace(state, failures=with_room(state.failures, free_bytes))

    def _ask(self, standing: Standing, now: datetime) -> Answered:
        settings = self._parts.settings
        body = render_check_in(
            settings.app,
            self.identity,
            standing,
            self._parts.attributes,
            self._parts.reporter.level,
        )
        answer = self.transport.post(f"{settings.app.base}/check-in", body)
        if answer.status == _NOT_FOUND:
            detail = f"404: the server knows no app {settings.app.app}"
            raise NetworkError(Code.HTTP_STATUS, detail, status=_NOT_FOUND)
        if answer.status != _OK:
            raise status_error(answer)
        return parse_answer(answer.body, now)

    def _keep_token(self, running: Version | None, answered: Answered) -> None:
        """Remember the token of what runs: it goes with everything that happens on it.

        Where nothing may be reported there is nothing to keep it for.
        """
        if self._parts.reporter.level is Telemetry.OFF:
            return
        self.token, store = answered.token, self._parts.installation.state
        state = store.read()
        with suppress(DiskError, StateError):  # until they can be stored, every answer has them
            if running is not None and state.tokens.get(str(running)) != answered.token:
                store.set_token(running, answered.token)
            if answered.project is not None and answered.project != state.project:
                store.set_project(answered.project)


def _is_not_found(error: AgentError | None) -> bool:
    return isinstance(error, NetworkError) and error.status == _NOT_FOUND


def _memory_of(state: State) -> Callable[[Policy, RolloutDocument | None], tuple[Failure, ...]]:
    return lambda policy, rollout: failures_for(state.bans, state.failures, policy, rollout)


def _nothing(_policy: Policy, _rollout: RolloutDocument | None) -> tuple[Failure, ...]:
    return ()
