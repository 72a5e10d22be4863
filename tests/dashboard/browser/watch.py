"""Nothing goes wrong unnoticed: what a browser did that no page of ours may make it do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Route, WebError, WebSocket

_LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}
_LOCAL_SCHEMES = {"about", "blob", "data"}
_VIOLATION = "serinus-csp-violation "
# Violations are told on the console, in words of the browser's own that change; this is the event.
_LISTEN = f"""
document.addEventListener("securitypolicyviolation", event => console.debug(
    "{_VIOLATION}" + event.effectiveDirective + " " + event.blockedURI + " " + event.sample));
"""
_STATUS = re.compile(r"the server responded with a status of (\d+)")


class Kind(StrEnum):
    """What can go wrong on a page."""

    CONSOLE = "console error"
    PAGE = "page error"
    CSP = "CSP violation"
    REQUEST = "request that is not to loopback"


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, and where."""

    kind: Kind
    text: str
    url: str = ""


@dataclass
class Watch:
    """The faults of one browser context, oldest first."""

    faults: list[Fault] = field(default_factory=list)
    _allowed: list[int] = field(default_factory=list)

    @property
    def kinds(self) -> set[Kind]:
        return {fault.kind for fault in self.faults}

    def over(self, context: BrowserContext) -> None:
        """Watch all that happens in *context* from now on."""
        context.add_init_script(_LISTEN)
        context.on("console", self._said)
        context.on("weberror", self._thrown)
        context.on("page", self._opened)
        context.route("**/*", self._asked)

    @contextlib.contextmanager
    def refused_with(self, status: int) -> Iterator[None]:
        """Let the server refuse with *status* while the block runs; browsers tell of it."""
        self._allowed.append(status)
        try:
            yield
        finally:
            self._allowed.remove(status)

    def _said(self, message: ConsoleMessage) -> None:
        text = message.text
        url = message.location.get("url", "")
        if text.startswith(_VIOLATION):
            self.faults.append(Fault(Kind.CSP, text.removeprefix(_VIOLATION), url))
        elif message.type == "error":
            status = _STATUS.search(text)
            if status is None or int(status[1]) not in self._allowed:
                self.faults.append(Fault(Kind.CONSOLE, text, url))

    def _thrown(self, error: WebError) -> None:
        self.faults.append(Fault(Kind.PAGE, str(error.error)))

    def _opened(self, page: Page) -> None:
        # Sockets are not routed as requests are.
        page.on("websocket", self._connected)

    def _connected(self, socket: WebSocket) -> None:
        self._check(socket.url)

    def _asked(self, route: Route) -> None:
        if self._check(route.request.url):
            route.continue_()
        else:
            route.abort()

    def _check(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.scheme in _LOCAL_SCHEMES or parts.hostname in _LOOPBACK:
            return True
        self.faults.append(Fault(Kind.REQUEST, url))
        return False
