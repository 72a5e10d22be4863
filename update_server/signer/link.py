"""Both ends of the signer's Unix socket: one JSON line asks, one JSON line answers.

Signed metadata travels as text, since it is JSON. Only this machine's owner of the socket
(mode 0600) can ask; what the signer then agrees to sign is ``update_server.signer``'s rule.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.model import RolloutId
from update_server.clock import SystemClock
from update_server.service.ports import (
    Clock,
    SignedState,
    Signer,
    SignerRefusedError,
    UnavailableError,
)

_LINE_LIMIT_BYTES = 32 * 1024 * 1024  # metadata of 300 roles with their documents
_TIMEOUT_SECONDS = 30.0
_REQUEST_SECONDS = 5.0  # one asker that stalls, or dribbles, must not keep a pull waiting
_CHUNK_BYTES = 65_536


class SocketSigner:
    """The signer, seen from the other processes."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()

    def new_app(self, app: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the public halves of the app's online keys, making them when there are none."""
        keys: Mapping[str, Mapping[str, Any]] = self._ask("new_app", app=app)["keys"]
        return keys

    def online_keys(self, app: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the public halves of the app's online keys; refused when there are none."""
        keys: Mapping[str, Mapping[str, Any]] = self._ask("online_keys", app=app)["keys"]
        return keys

    def admit(
        self, app: str, submitted: Mapping[str, bytes], files: Mapping[str, tuple[str, int]]
    ) -> SignedState:
        """Have newly signed offline metadata taken in."""
        return self._state("admit", app=app, submitted=_text(submitted), files=dict(files))

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
        """Have a channel's new rollout document signed."""
        return self._state(
            "sign_rollout",
            app=app,
            channel=channel,
            document=document.decode(),
            approvals=list(approvals),
            based_on=based_on,
            automatic=automatic,
        )

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
        """Have the token of one operator noted for a change that needs more of them."""
        answer = self._ask(
            "ticket",
            app=app,
            channel=channel,
            document=document.decode(),
            rollout=rollout,
            approval=approval,
            based_on=based_on,
        )
        return str(answer["ticket"])

    def withdraw(self, app: str, ticket: str) -> None:
        """Have a ticket count no more."""
        self._ask("withdraw", app=app, ticket=ticket)

    def refresh(self, app: str) -> SignedState:
        """Have the short-lived roles signed again where they are due."""
        return self._state("refresh", app=app)

    def status(self, app: str) -> SignedState:
        """Return the newest state that was signed."""
        return self._state("status", app=app)

    def _state(self, verb: str, **fields: object) -> SignedState:
        answer = self._ask(verb, **fields)
        return SignedState(
            app=answer["app"],
            timestamp_version=answer["timestamp_version"],
            journal=answer["journal"].encode(),
            metadata={role: text.encode() for role, text in answer["metadata"].items()},
        )

    def _ask(self, verb: str, **fields: object) -> Mapping[str, Any]:
        line = json.dumps({"verb": verb, **fields}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(_TIMEOUT_SECONDS)
                link.connect(str(self._path))
                link.sendall(line)
                answer = json.loads(_read_line(link, _TIMEOUT_SECONDS, self._clock))
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the signer does not answer: {error}") from error
        if "refused" in answer:
            refused = answer["refused"]
            raise SignerRefusedError(refused["code"], refused["detail"], refused["data"])
        if "fault" in answer:
            raise UnavailableError(f"the signer failed: {answer['fault']}")
        result: Mapping[str, Any] = answer["ok"]
        return result


def serve(
    path: Path,
    signer: Signer,
    stop: threading.Event,
    log: Callable[[str], None],
    clock: Clock | None = None,
) -> None:
    """Answer on the socket at *path*, one request after the other, until *stop* is set.

    Raises:
        OSError: The socket cannot be made, or another signer listens on it.
    """
    clock = clock or SystemClock()
    with _listener(path) as listener, selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while not stop.is_set():
            if not selector.select(timeout=0.2):
                continue
            link, _ = listener.accept()
            with link:
                try:
                    answer = _answer(signer, _read_line(link, _REQUEST_SECONDS, clock), log)
                    link.settimeout(_REQUEST_SECONDS)  # for all of it, unlike recv's
                    link.sendall(answer)
                except OSError as error:  # the asker went away: its verb is done all the same
                    log(f"an answer was not delivered: {error}")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _listener(path: Path) -> socket.socket:
    if _answers(path):
        raise OSError(f"another signer listens on {path}")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else may connect, not even between bind and chmod
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _answer(signer: Signer, line: bytes, log: Callable[[str], None]) -> bytes:
    try:
        answer: dict[str, Any] = {"ok": _perform(signer, json.loads(line))}
    except SignerRefusedError as refusal:
        answer = {"refused": {"code": refusal.code, "detail": refusal.detail, "data": refusal.data}}
    except Exception as error:  # noqa: BLE001 - one bad request must not end the signer
        log(f"a request failed: {error!r}")
        answer = {"fault": type(error).__name__}
    return json.dumps(answer).encode() + b"\n"


def _perform(signer: Signer, request: Mapping[str, Any]) -> Mapping[str, Any]:
    app = str(request["app"])
    match request["verb"]:
        case "new_app":
            return {"keys": signer.new_app(app)}
        case "online_keys":
            return {"keys": signer.online_keys(app)}
        case "admit":
            submitted = {role: text.encode() for role, text in request["submitted"].items()}
            files = {path: (sha, int(size)) for path, (sha, size) in request["files"].items()}
            return _render(signer.admit(app, submitted, files))
        case "sign_rollout":
            return _render(
                signer.sign_rollout(
                    app,
                    str(request["channel"]),
                    str(request["document"]).encode(),
                    [str(token) for token in request["approvals"]],
                    based_on=int(request["based_on"]),
                    automatic=bool(request["automatic"]),
                )
            )
        case "ticket":
            ticket = signer.ticket(
                app,
                str(request["channel"]),
                str(request["document"]).encode(),
                RolloutId(str(request["rollout"])),
                str(request["approval"]),
                based_on=int(request["based_on"]),
            )
            return {"ticket": ticket}
        case "withdraw":
            signer.withdraw(app, str(request["ticket"]))
            return {}
        case "refresh":
            return _render(signer.refresh(app))
        case "status":
            return _render(signer.status(app))
        case unknown:
            raise SignerRefusedError("unknown_verb", f"the signer knows no verb {unknown!r}")


def _render(state: SignedState) -> Mapping[str, Any]:
    return {
        "app": state.app,
        "timestamp_version": state.timestamp_version,
        "journal": state.journal.decode(),
        "metadata": {role: data.decode() for role, data in state.metadata.items()},
    }


def _text(metadata: Mapping[str, bytes]) -> dict[str, str]:
    return {role: data.decode() for role, data in metadata.items()}


def _read_line(link: socket.socket, seconds: float, clock: Clock) -> bytes:
    """Return one line, which must be here within so many *seconds*.

    The socket's own time-out begins anew with every byte.
    """
    deadline = clock.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    while not (parts and parts[-1].endswith(b"\n")):
        left_seconds = deadline - clock.monotonic()
        if left_seconds <= 0:
            raise TimeoutError("the line is too slow")
        link.settimeout(left_seconds)
        part = link.recv(_CHUNK_BYTES)
        if not part:
            raise ConnectionError("the line broke off")
        parts.append(part)
        size += len(part)
        if size > _LINE_LIMIT_BYTES:
            raise ConnectionError("the line is too long")
    return b"".join(parts)
