"""Where accepted reports of crash SDKs also go: the ``[telemetry]`` table of ``serinus.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

EVERY_APP: Final = "*"
"""Stands for the apps that have no DSN of their own."""

_KEY: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_PATH: Final = re.compile(r"(?:/[\w.-]+)*/[0-9]{1,18}", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ALLOWED: Final = "a DSN such as https://KEY@sentry.example.org/7"


class TeeError(ValueError):
    """A setting is wrong. The text says which one, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn:
    """A project of a Sentry server: ``text`` as in the settings, ``url`` takes envelopes."""

    text: str = field(repr=False)
    url: str
    key: str = field(repr=False)

    @property
    def host(self) -> str:
        """Whose server it is."""
        return urlsplit(self.url).netloc


def dsn_of(dsns: Mapping[str, Dsn], app: str) -> Dsn | None:
    """Return the DSN of *app* among *dsns*."""
    return dsns.get(app) or dsns.get(EVERY_APP)


def read_tee(document: Mapping[str, Any]) -> Mapping[str, Dsn]:
    """Return the DSN of each app that has one, by its name or ``EVERY_APP``.

    Raises:
        TeeError: A setting is wrong or unknown.
    """
    table = document.get("telemetry", {})
    if not isinstance(table, dict):
        raise TeeError("[telemetry] must be a table")
    for name in table:
        if name != "tee":
            raise TeeError(f"[telemetry] has no setting {name!r}; there is tee")
    told = table.get("tee", {})
    by_app = told if isinstance(told, dict) else {EVERY_APP: told}
    return {app: _dsn(app, text) for app, text in by_app.items()}


def _dsn(app: str, text: object) -> Dsn:
    where = "tee" if app == EVERY_APP else f"tee.{app}"
    # What it is instead is not shown: it may hold a key.
    wrong = TeeError(f"[telemetry] {where} must be {_ALLOWED}")
    if not isinstance(text, str):
        raise wrong
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise wrong from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    key = parts.username or ""
    if not is_safe or not host or parts.query or parts.fragment:
        raise wrong
    if not _KEY.fullmatch(key) or not _PATH.fullmatch(parts.path):
        raise wrong
    netloc = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
    prefix, _, project = parts.path.rpartition("/")
    url = f"{parts.scheme}://{netloc}{prefix}/api/{project}/envelope/"
    return Dsn(text=f"{parts.scheme}://{key}@{netloc}{parts.path}", url=url, key=key)
