"""An app with sentry-sdk, which knows nothing of us: python_app.py SITUATION [RELEASE].

It reports where ``SENTRY_DSN`` says, and without RELEASE as what ``SENTRY_RELEASE`` says. Before it
hangs it says ``ready`` on a line.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable

import sentry_sdk
from sentry_sdk.types import Event, Hint


def boom() -> None:
    raise ValueError("42 apples")


def pick() -> None:
    boom()


def plan() -> None:
    pick()


def work() -> None:
    """Fail four calls deep: whoever called, it is the same bug."""
    plan()


def start_session() -> None:
    scope = sentry_sdk.get_isolation_scope()
    scope.start_session(session_mode="application")
    atexit.register(scope.end_session)


def handled() -> None:
    start_session()
    try:
        work()
    except ValueError as error:
        sentry_sdk.capture_exception(error)


def unhandled() -> None:
    start_session()
    work()


def in_a_thread() -> None:
    start_session()
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()


def requests() -> None:
    """Serve three: two well, and one with an error that a framework reports."""
    for fails in (False, True, False):
        with (
            sentry_sdk.isolation_scope() as scope,
            sentry_sdk.sessions.track_session(scope, session_mode="request"),
        ):
            if fails:
                try:
                    work()
                except ValueError as error:
                    sentry_sdk.capture_exception(error)


def leave_with_3() -> None:
    start_session()
    sys.exit(3)


def hang() -> None:
    start_session()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(600)


def discards() -> None:
    """Report two errors, the first of which the app's own filter drops."""
    sentry_sdk.capture_message("dropped")
    handled()


def keep(event: Event, _hint: Hint) -> Event | None:
    return None if event.get("message") == "dropped" else event


def many_errors() -> None:
    start_session()
    for _ in range(20):
        sentry_sdk.capture_exception(ValueError("one of many"))
        sentry_sdk.flush()


SITUATIONS: dict[str, Callable[[], None]] = {
    "exit": lambda: None,
    "session": start_session,
    "exit-3": leave_with_3,
    "handled": handled,
    "unhandled": unhandled,
    "unhandled-init-only": work,
    "thread": in_a_thread,
    "requests": requests,
    "discards": discards,
    "abort": os.abort,
    "hang": hang,
    "storm": many_errors,
}


def main() -> None:
    situation, release = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    packing = "gzip" if "GZIP" in os.environ else "br"
    sentry_sdk.init(
        release=release,
        environment="production",
        before_send=keep,
        # The SDK says that it takes its own enumeration, and compares it with texts.
        _experiments={"transport_compression_algo": packing},  # type: ignore[typeddict-item]
    )
    SITUATIONS[situation]()


if __name__ == "__main__":
    main()
