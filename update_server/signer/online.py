"""The signer: the only process that holds online keys, and the judge of what they sign.

It never signs bytes that somebody hands it. It takes in offline-signed metadata after
verifying it again, and rollout documents after comparing them with the last one *it* signed
and with the signed policy. Whoever asks for more exposure must show operators' tokens, which
it checks against the stored hashes by itself: no web process's word counts.

It cannot know who asks. A narrowing change is signed without any token, or a pause could not
be finished after a crash; so it takes one that no operator's token came with for an automatic
one, whatever the asker calls it: the policy's number of rollbacks a day binds it, and ending
its pauses needs as many people as after automatic ones, unless the database says that a person
paused. The rest of the policy's ``auto`` binds only those who say that they are automatic. And
who owns web processes and the database can make operators up: what binds
then is the signed policy (docs/adr/0010).

Not here: the socket (``signer.link``), what a change is
(``rollout.changes``), how a state is signed (``signing.repository``).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer as KeySigner

from rollout.changes import Act, Change, ChangeKind, happens_by_itself, judge_change
from rollout.documents import parse_rollout, render_rollout
from rollout.errors import BadNameError, RolloutError
from rollout.history import History, history_after
from rollout.model import Actor, Policy, RolloutDocument, RolloutId
from rollout.names import check_app
from signing.admit import CLOCK_SKEW, Admission, check_submission
from signing.errors import BadStateError, PlanError, SigningError, SubmissionError
from signing.journal import dump_journal
from signing.keys import load_signer, new_plain_key
from signing.public_keys import render_key
from signing.repository import OnlineSigners, plan, sign_rollout
from update_server.service.ports import (
    Clock,
    Database,
    NotFoundError,
    Role,
    SignedState,
    SignerRefusedError,
    UnavailableError,
)
from update_server.signer.documents import SignedDocuments
from update_server.signer.memory import Memory, keep, recall

_ONLINE_KEYS = ("rollout", "snapshot", "timestamp", "timestamp-standby")
_MAY_APPROVE = frozenset({Role.OPERATOR, Role.ADMIN})
_DAY = timedelta(days=1)


class OnlineSigner:
    """Signs for every app of a server. Satisfies ``service.ports.Signer``."""

    def __init__(self, folder: Path, database: Database, clock: Clock) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()

    def new_app(self, app: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the public halves of the app's online keys, making them when there are none."""
        with self._lock:
            folder = self._folder / _checked(app)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _ONLINE_KEYS:
                if not (folder / f"{name}.pem").exists():
                    new_plain_key(folder / f"{name}.pem", "serinus server")
            return self._public_keys(app)

    def online_keys(self, app: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the public halves of the app's online keys.

        Raises:
            SignerRefusedError: ``no_key``: one of them is missing.
        """
        with self._lock:
            return self._public_keys(_checked(app))

    def admit(
        self, app: str, submitted: Mapping[str, bytes], files: Mapping[str, tuple[str, int]]
    ) -> SignedState:
        """Take offline-signed metadata in, and sign what makes it visible.

        Raises:
            SignerRefusedError: It does not verify; ``code`` says why.
        """
        with self._lock:
            memory = self._recall(app)
            now = self._clock.now()
            try:
                admission = check_submission(
                    memory.state,
                    submitted,
                    lambda path, sha256, length: files.get(path) == (sha256, length),
                    now,
                    known=memory.known,
                )
            except SubmissionError as error:
                raise SignerRefusedError(error.code, str(error)) from error
            if not admission.changed and memory.journal:
                return _signed(memory)
            memory = replace(memory, known={**memory.known, **_named(admission)})
            return self._sign(memory, admission.changed, files, now)

    def sign_rollout(
        self,
        app: str,
        channel: str,
        document: bytes,
        approvals: Sequence[str],
        *,
        based_on: int,
        automatic: bool,
    ) -> SignedState:
        """Sign *document* as the channel's rollout, if that may follow what was signed last.

        Raises:
            SignerRefusedError: ``stale_base``, ``bad_document``, ``never``,
                ``approvals_missing`` or ``not_automatic``; its text says which rule.
        """
        with self._lock:
            memory = self._recall(app)
            _check_base(memory, based_on)
            now = self._clock.now()
            wanted = _parse(app, channel, document, now)
            signed = SignedDocuments.read(memory.state)
            before, policy = signed.rollout(channel), signed.policy(channel)
            history = memory.histories.get(channel, History())
            change = judge_change(
                before, wanted, policy, signed.releases(channel), now, history=history
            )
            operators = self._operators(app, approvals, now)
            if automatic:
                _allow_automatic(change, policy, memory, now)
            else:
                _allow(change, len(operators))
                if not operators:
                    _allow_rollbacks(change, policy, memory, now)
            by_itself = automatic or not operators
            after = history_after(
                history,
                before,
                wanted,
                now,
                automatic=by_itself,
                paused_by=self._paused_by(app) if Act.PAUSE in change.acts else {},
            )
            rollbacks = change.acts.count(Act.ROLLBACK) if by_itself else 0
            memory = replace(
                memory,
                histories={**memory.histories, channel: after},
                rollbacks=(*_of_today(memory, now), *(now for _ in range(rollbacks))),
            )
            changed = sign_rollout(memory.state, document, self._online(app), now)
            return self._sign(memory, changed, {}, now)

    def refresh(self, app: str) -> SignedState:
        """Sign a new timestamp, and snapshot and rollout roles where they are due."""
        with self._lock:
            return self._sign(self._recall(app), {}, {}, self._clock.now())

    def status(self, app: str) -> SignedState:
        """Return the newest state that was signed; version 0 and no metadata if none was."""
        with self._lock:
            return _signed(self._recall(app))

    # --- rules ---------------------------------------------------------------------------

    def _operators(self, app: str, approvals: Sequence[str], now: datetime) -> set[str]:
        """Return the distinct operators behind the tokens *approvals*."""
        found: set[str] = set()
        if not approvals:
            return found
        with self._database.reading() as stores:
            for token in approvals:
                try:
                    known = stores.access.token_by_hash(hashlib.sha256(token.encode()).hexdigest())
                except NotFoundError:
                    continue
                alive = known.revoked_at is None and (
                    known.expires_at is None or known.expires_at > now
                )
                if alive and known.role in _MAY_APPROVE and known.app in {None, app}:
                    found.add(known.name)
        return found

    def _paused_by(self, app: str) -> Mapping[RolloutId, Actor]:
        """Return who paused the rollouts that are paused, says the database.

        Recovery, or another process, may be the first to have a person's pause signed. Whoever
        owns the database can add operators, and needs no such detour.
        """
        try:
            with self._database.reading() as stores:
                known = stores.rollouts.of_app(app)
        except UnavailableError:  # which must not stop a pause
            return {}
        return {each.id: each.paused_by for each in known if each.paused_by is not None}

    # --- signing -------------------------------------------------------------------------

    def _sign(
        self,
        memory: Memory,
        changed: Mapping[str, bytes],
        files: Mapping[str, tuple[str, int]],
        now: datetime,
    ) -> SignedState:
        app = memory.state.app
        try:
            planned = plan(memory.state, changed, files, self._online(app), now)
        except PlanError as error:
            raise SignerRefusedError(error.code, str(error)) from error
        memory = replace(
            memory,
            state=planned.state,
            journal=dump_journal(planned.journal),
            timestamp_version=planned.journal.timestamp_version,
        )
        # Remembered before anybody hears of it: what was signed must never be forgotten.
        keep(self._folder / app, memory)
        return _signed(memory)

    def _online(self, app: str) -> OnlineSigners:
        return OnlineSigners(
            rollout=(self._key(app, "rollout"),),
            snapshot=(self._key(app, "snapshot"),),
            timestamp=(self._key(app, "timestamp"),),
        )

    def _public_keys(self, app: str) -> Mapping[str, Mapping[str, Any]]:
        return {name: render_key(self._key(app, name).public_key) for name in _ONLINE_KEYS}

    def _key(self, app: str, name: str) -> KeySigner:
        path = self._folder / app / f"{name}.pem"
        try:
            return load_signer(f"file2:{path}", _no_passphrase, unsafe_plain=True)
        except SigningError as error:
            raise SignerRefusedError("no_key", f"the {name} key of {app}: {error}") from error

    def _recall(self, app: str) -> Memory:
        try:
            return recall(self._folder / _checked(app), app)
        except BadStateError as error:
            raise SignerRefusedError("bad_memory", str(error)) from error


def _checked(app: str) -> str:
    """Return *app* if it can be an app's name, which is also that of its folder."""
    try:
        return check_app(app)
    except BadNameError as error:
        raise SignerRefusedError("bad_name", str(error)) from error


def _parse(app: str, channel: str, document: bytes, now: datetime) -> RolloutDocument:
    try:
        wanted = parse_rollout(document)
    except RolloutError as error:
        raise SignerRefusedError("bad_document", str(error)) from error
    if (wanted.app, wanted.channel) != (app, channel):
        raise SignerRefusedError("bad_document", f"it is of {wanted.app}/{wanted.channel}")
    # What is not understood here might mean something to an agent of tomorrow.
    if render_rollout(wanted) != document:
        raise SignerRefusedError("bad_document", "it says more than is known here")
    if wanted.issued > now + CLOCK_SKEW:
        raise SignerRefusedError("bad_document", f"issued {wanted.issued} is in the future")
    return wanted


def _check_base(memory: Memory, based_on: int) -> None:
    """Return if nothing was signed since the state that the asker looked at.

    A process that stalled would otherwise undo what others had signed meanwhile.
    """
    if memory.timestamp_version > based_on:
        raise SignerRefusedError(
            "stale_base",
            f"it follows state {based_on}, and {memory.timestamp_version} is signed already",
            {"current": memory.timestamp_version},
        )


def _allow(change: Change, operators: int) -> None:
    """Return if so many people may make *change* (the table of docs/trust.md, 7)."""
    why = "; ".join(change.why)
    if change.kind is ChangeKind.NEVER:
        raise SignerRefusedError("never", f"this is never signed: {why}")
    if operators < change.approvals_needed:
        raise SignerRefusedError(
            "approvals_missing",
            f"{operators} of {change.approvals_needed} operators approved: {why}",
            {"needed": change.approvals_needed, "given": operators},
        )


def _allow_automatic(change: Change, policy: Policy, memory: Memory, now: datetime) -> None:
    """Return if the policy lets the server make *change* by itself."""
    today = len(_of_today(memory, now))
    if not happens_by_itself(change, policy, rollbacks_today=today):
        why = "; ".join(change.why)
        raise SignerRefusedError("not_automatic", f"the policy leaves this to people: {why}")


def _allow_rollbacks(change: Change, policy: Policy, memory: Memory, now: datetime) -> None:
    """Return if there may be so many rollbacks today that nobody is seen to ask for."""
    wanted, today = change.acts.count(Act.ROLLBACK), len(_of_today(memory, now))
    most = policy.automatic.max_rollbacks_per_day
    if wanted and today + wanted > most:
        detail = f"without an operator's token only {most} rollbacks a day are signed"
        raise SignerRefusedError("not_automatic", detail)


def _of_today(memory: Memory, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in memory.rollbacks if now - at < _DAY)


def _named(admission: Admission) -> dict[str, str]:
    """Return the sha256 by path of every file that the submission brings."""
    files = {path: sha256 for path, (sha256, _) in admission.files.items()}
    documents = {
        path: hashlib.sha256(data).hexdigest() for path, data in admission.documents.items()
    }
    return files | documents


def _signed(memory: Memory) -> SignedState:
    return SignedState(
        app=memory.state.app,
        timestamp_version=memory.timestamp_version,
        journal=memory.journal,
        metadata=memory.state.metadata,
    )


def _no_passphrase(_: str) -> bytes:
    return b""
