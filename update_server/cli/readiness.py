"""Wait until a server that was just started answers, and say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import urllib3

from update_server.cli.console import Console
from update_server.config import Config
from update_server.processes import ROLES

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 2.0
_PATIENCE_SECONDS = 15.0  # then people are told what they wait for
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def announce(
    console: Console,
    config: Config,
    role: str,
    stop: threading.Event,
    signer_answers: Callable[[], bool],
) -> None:
    """Print ``ready`` once every process of *role* answers, from a thread of its own."""
    checks = _checks(config, role, signer_answers)
    threading.Thread(
        target=_wait, args=(console, config, role, stop, checks), name="readiness", daemon=True
    ).start()


def _wait(
    console: Console,
    config: Config,
    role: str,
    stop: threading.Event,
    checks: Mapping[str, Callable[[], bool]],
) -> None:
    waited, told = 0.0, False
    while waiting := [name for name, answers in checks.items() if not answers()]:
        if stop.wait(_POLL_SECONDS):
            return
        waited += _POLL_SECONDS
        if waited > _PATIENCE_SECONDS and not told:
            console.say(f"not ready yet: {', '.join(waiting)} not answering")
            told = True
    document: dict[str, Any] = {"ready": True, "role": role, "data": str(config.data)}
    if "public" in checks:
        document |= {"public": f"http://{config.public}", "admin": f"http://{config.admin}"}
    console.document(document)
    console.say("ready")


def _checks(
    config: Config, role: str, signer_answers: Callable[[], bool]
) -> dict[str, Callable[[], bool]]:
    """Return what tells of each process of *role* whether it answers.

    A controller has nobody to answer to.
    """
    checks: dict[str, Callable[[], bool]] = {
        "signer": signer_answers,
        "public": lambda: _answers(config.public_address, "/readyz"),
        "admin": lambda: _answers(config.admin_address, "/"),
    }
    return {name: checks[name] for name in ROLES[role] if name in checks}


def _answers(address: tuple[str, int], path: str) -> bool:
    host, port = address
    host = _EVERYWHERE.get(host, host)
    host = f"[{host}]" if ":" in host else host
    try:
        answer = urllib3.request(
            "GET", f"http://{host}:{port}{path}", retries=False, timeout=_ANSWER_SECONDS
        )
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status < 500  # noqa: PLR2004 - the admin app may well want a token
