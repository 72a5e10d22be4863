"""The admin API, seen from the command line: JSON in, JSON or a ProblemError out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import urllib3

from update_server.cli.connection import was_refused, why_failed
from update_server.cli.errors import CliError, ProblemError
from update_server.clock import SystemClock

_TIMEOUT_SECONDS = 60.0  # a pull returns only after the lease of every web process
_START_SECONDS = 20.0  # a server on a small machine listens after three to ten
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as an object; raises CliError when it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CliError("unexpected_answer", f"the server answered {self.status} without JSON")
        return document


class Transport(Protocol):
    """How a request reaches an admin app."""

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class HttpTransport:
    """An admin app behind a URL.

    With *say* it may be one that is just being started (`serinus serve &`): the first request
    waits for it, and *say* tells so.
    """

    def __init__(self, server: str, say: Callable[[str], None] | None = None) -> None:
        self._server = server.rstrip("/")
        self._say = say
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=_TIMEOUT_SECONDS), retries=False
        )

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request; raises CliError when the server cannot be reached."""
        try:
            response = self._request(method, self._server + path, headers, body)
        except urllib3.exceptions.HTTPError as error:
            raise CliError(
                "unreachable",
                f"{self._server} {why_failed(error)}",
                hint="serinus serve, or name the server with --server",
            ) from error
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status, headers=names, body=response.data)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> urllib3.BaseHTTPResponse:
        clock, say = SystemClock(), self._say
        self._say = None  # later on it is known to run, or not to
        until = clock.monotonic() + _START_SECONDS
        told = False
        while True:
            try:
                return self._pool.request(method, url, headers=dict(headers), body=body or None)
            except urllib3.exceptions.HTTPError as error:
                if say is None or not was_refused(error) or clock.monotonic() > until:
                    raise
            if not told:
                say("waiting for the server")
                told = True
            clock.sleep(_POLL_SECONDS)


class AdminApi:
    """The calls of the admin app, with a token."""

    def __init__(self, transport: Transport, token: str) -> None:
        self._transport = transport
        self._token = token

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """GET an object."""
        return self.send("GET", path + _query(query)).json()

    def items(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """GET a list, page by page."""
        cursor: object = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            if not isinstance(page.get("items"), list):
                raise CliError("unexpected_answer", f"the server's answer to {path} is no list")
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def post(
        self, path: str, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST an object."""
        body = json.dumps(document).encode()
        kind = {"Content-Type": "application/json", **(headers or {})}
        return self.send("POST", path, kind, body).json()

    def patch(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH an object."""
        body = json.dumps(document).encode()
        return self.send("PATCH", path, {"Content-Type": "application/json"}, body).json()

    def delete(self, path: str) -> dict[str, Any]:
        """DELETE a thing; return what is told of it, if anything is."""
        answer = self.send("DELETE", path)
        return answer.json() if answer.body else {}

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one request; raises ProblemError for a 4xx or 5xx."""
        own = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        answer = self._transport.send(method, path, own | dict(headers or {}), body)
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's errors start there
            try:
                problem = answer.json()
            except CliError:
                problem = {"detail": f"the server answered {answer.status}"}
            raise ProblemError(answer.status, problem)
        return answer


def app_path(app: str, *rest: str) -> str:
    """Return the path of an app's resource, each part quoted."""
    parts = "".join(f"/{quote(part, safe='')}" for part in rest)
    return f"/v1/admin/apps/{quote(app, safe='')}{parts}"


def _query(query: Mapping[str, object]) -> str:
    given = {name: str(value) for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
