"""The signer: the only process that holds online keys, and the judge of what they sign.

It never signs bytes that somebody hands it. It takes in offline-signed metadata after
verifying it again, and rollout documents after comparing them with the last one *it* signed
and with the signed policy. Whoever asks for more exposure must show operators' tokens, which
it checks against the stored hashes by itself: no web process's word counts. Of an operator
who was here before the others it is told by a ticket of its own (docs/adr/0013).

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
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer as KeySigner

from rollout.changes import Act, judge_change
from rollout.documents import digests_of
from rollout.errors import BadNameError
from rollout.history import History, history_after
from rollout.model import Actor, RolloutId
from rollout.names import check_app
from signing.admit import Admission, check_submission
from signing.errors import BadStateError, PlanError, SigningError, SubmissionError
from signing.journal import dump_journal
from signing.keys import load_signer, new_plain_key
from signing.public_keys import render_key
from signing.repository import OnlineSigners, plan, sign_rollout
from update_server.service.ports import (
    Clock,
    Database,
    SignedState,
    SignerRefusedError,
    UnavailableError,
)
from update_server.service.ports.passwords import Passwords
from update_server.service.ports.pending import LIFE
from update_server.signer import tickets
from update_server.signer.approvals import (
    Approvals,
    Shown,
    approver_behind,
    check_approved,
    check_kind,
)
from update_server.signer.documents import SignedDocuments
from update_server.signer.marks import mark_of, marks_after
from update_server.signer.memory import Memory, keep, recall
from update_server.signer.rules import (
    allow_automatic,
    allow_rollbacks,
    check_base,
    of_today,
    parse,
)

_ONLINE_KEYS = ("rollout", "snapshot", "timestamp", "timestamp-standby")


class OnlineSigner:
    """Signs for every app of a server. Satisfies ``service.ports.Signer``."""

    def __init__(
        self, folder: Path, database: Database, clock: Clock, passwords: Passwords
    ) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._passwords = passwords
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
            check_base(memory, based_on)
            now = self._clock.now()
            wanted = parse(app, channel, document, now)
            signed = SignedDocuments.read(memory.state)
            before, policy = signed.rollout(channel), signed.policy(channel)
            history = memory.histories.get(channel, History())
            change = judge_change(
                before, wanted, policy, signed.releases(channel), now, history=history
            )
            marks = memory.marks.get(channel, {})
            seen = self._seen(memory, channel, approvals, now)
            if automatic:
                allow_automatic(change, policy, memory, now)
            else:
                check_kind(change)
                check_approved(change, wanted, seen, marks)
                if not seen.people:
                    allow_rollbacks(change, policy, memory, now)
            by_itself = automatic or not seen.people
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
                rollbacks=(*of_today(memory, now), *(now for _ in range(rollbacks))),
                marks={
                    **memory.marks,
                    channel: marks_after(marks, before, wanted, memory.timestamp_version + 1, now),
                },
            )
            changed = sign_rollout(memory.state, document, self._online(app), now)
            return self._sign(memory, changed, {}, now)

    def ticket(
        self,
        app: str,
        channel: str,
        document: bytes,
        rollout: RolloutId,
        approval: str,
        *,
        based_on: int,
    ) -> str:
        """Return what stands for *approval*, a token or a password, when others have it signed.

        It does so for what the document says of *rollout* alone, as long as nothing else
        becomes of that rollout, the approval is valid, and at most for ``LIFE``.

        Raises:
            SignerRefusedError: ``stale_base``, ``bad_document``, ``never``; it is of no
                operator (``approvals_missing``), or there is nothing to approve
                (``no_ticket``).
        """
        with self._lock:
            memory = self._recall(app)
            check_base(memory, based_on)
            now = self._clock.now()
            wanted = parse(app, channel, document, now)
            signed = SignedDocuments.read(memory.state)
            change = judge_change(
                signed.rollout(channel),
                wanted,
                signed.policy(channel),
                signed.releases(channel),
                now,
                history=memory.histories.get(channel, History()),
            )
            check_kind(change)
            needed = change.needed_by.get(rollout, 0)
            if not needed:
                raise SignerRefusedError("no_ticket", f"{rollout} needs nobody for this")
            with self._database.reading() as stores:
                one = approver_behind(stores, approval, app, now, self._passwords)
            if one is None:
                data = {"needed": needed, "given": 0}
                detail = f"0 of {needed} operators approved: the approval is of none"
                raise SignerRefusedError("approvals_missing", detail, data)
            ticket = tickets.Ticket(
                id=tickets.new_id(),
                app=app,
                channel=channel,
                rollout=rollout,
                entry=digests_of(wanted)[rollout],
                mark=mark_of(memory.marks.get(channel, {}), rollout),
                token_id=one.id,
                expires_at=now.replace(microsecond=0) + LIFE,
            )
            return tickets.issue(self._ticket_key(app), ticket)

    def withdraw(self, app: str, ticket: str) -> None:
        """Let *ticket* count no more, whoever has kept it. One that is none is left alone."""
        with self._lock:
            memory = self._recall(app)
            known = tickets.read(self._ticket_key(app), ticket)
            now = self._clock.now()
            if known is None or known.app != app or known.expires_at <= now:
                return
            kept = {sha256: at for sha256, at in memory.withdrawn.items() if at > now}
            kept[known.sha256] = known.expires_at
            keep(self._folder / app, replace(memory, withdrawn=kept))

    def refresh(self, app: str) -> SignedState:
        """Sign a new timestamp, and snapshot and rollout roles where they are due."""
        with self._lock:
            return self._sign(self._recall(app), {}, {}, self._clock.now())

    def status(self, app: str) -> SignedState:
        """Return the newest state that was signed; version 0 and no metadata if none was."""
        with self._lock:
            return _signed(self._recall(app))

    # --- rules ---------------------------------------------------------------------------

    def _seen(
        self, memory: Memory, channel: str, approvals: Sequence[str], now: datetime
    ) -> Approvals:
        """Return whose *approvals* are: tokens, passwords and tickets."""
        if not approvals:  # a pause must not wait for the database
            return Approvals()
        app = memory.state.app
        shown = Shown(app=app, channel=channel, approvals=approvals, passwords=self._passwords)
        with self._database.reading() as stores:
            return shown.check(stores, now, lambda: self._ticket_key(app), memory.withdrawn)

    def _ticket_key(self, app: str) -> bytes:
        try:
            return tickets.key_in(self._folder / app)
        except OSError as error:
            raise SignerRefusedError("no_key", f"the ticket key of {app}: {error}") from error

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
