"""An app that hands its crash SDK a secret wherever one fits: python_secrets.py RELEASE SECRET."""

from __future__ import annotations

import logging
import sys
from typing import Any

import sentry_sdk


class CanaryError(Exception):
    """Its name is kept, and what it says is not."""


def fail(password: str) -> None:
    held: dict[str, Any] = {"login": {"password": password}, "list": [password]}
    # Messages are kept where the app wants that: of a secret in them, a word must tell.
    raise CanaryError(f"cannot log in with {held['login']} from /home/{password}/notes")


def main() -> None:
    release, secret = sys.argv[1:3]
    sentry_sdk.init(
        release=release,
        send_default_pii=True,
        server_name=secret,
        environment=secret,
        dist=secret,
        attach_stacktrace=True,
        max_request_body_size="always",
    )
    sentry_sdk.set_user(
        {
            "id": secret,
            "email": f"{secret}@example.org",
            "username": secret,
            "ip_address": "203.0.113.77",
            "other": secret,
        }
    )
    sentry_sdk.set_tag("password", secret)
    sentry_sdk.set_tag(secret, "value")
    sentry_sdk.set_extra("note", {"deep": [secret]})
    sentry_sdk.set_context("account", {"iban": secret})
    sentry_sdk.set_context("os", {"name": "Linux", "build": secret, "raw_description": secret})
    sentry_sdk.set_transaction_name(f"/accounts/{secret}")
    scope = sentry_sdk.get_isolation_scope()
    scope.fingerprint = [f"password={secret}"]
    scope.add_attachment(bytes=secret.encode(), filename=f"{secret}.txt")
    scope.start_session(session_mode="application")
    sentry_sdk.add_breadcrumb(message=secret, category=secret, data={"q": secret})
    logging.getLogger("app").error("token=%s", secret)  # an event of its own
    sentry_sdk.capture_message(f"bearer {secret}")
    sentry_sdk.capture_event(
        {
            "logentry": {"message": "key %s", "params": [secret], "formatted": f"key {secret}"},
            "request": {
                "url": f"https://example.org/?q={secret}",
                "query_string": f"q={secret}",
                "cookies": {"session": secret},
                "headers": {"Authorization": f"Bearer {secret}"},
                "data": {"field": secret},
                "env": {"REMOTE_USER": secret},
            },
        }
    )
    try:
        fail(secret)
    except CanaryError as error:
        sentry_sdk.capture_exception(error)
    scope.end_session()
    fail(secret)


if __name__ == "__main__":
    main()
