"""HTTP, as an agent may speak it: bounded in time and size, and only where it was sent.

Numbers are those of docs/agent.md, 6. urllib3's own retries and redirects are off: when to try
again is the schedule's business, and where to go is decided here.

Not here: what the bytes mean.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from client_agent.clock import Clock
from client_agent.config import NetworkSettings
from client_agent.errors import Code, ConfigError, NetworkError, TrustError
from client_agent.network.pace import LONG, SHORT, Limits, Pace, PacedManagers
from client_agent.network.proxies import Proxies, ProxyHeaders, is_loopback

MAX_REDIRECTS = 3
READ_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024
USER_AGENT = "serinus/0.1.0"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_OK = 200
_PROXY_REFUSED = 407

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after_seconds: float | None = None


class Stream:
    """An answer whose body is still to be read."""

    def __init__(self, answer: Answer, response: urllib3.BaseHTTPResponse, pace: Pace) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.retry_after_seconds = answer.retry_after_seconds
        self._response = response
        self._pace = pace

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes, at most 64 KiB at a time.

        Raises:
            NetworkError: The connection broke or stalled.
            TrustError: ``too_slow``.
        """
        with _translated():
            while chunk := self._response.read1(READ_BYTES, decode_content=False):
                self._pace.got(len(chunk))
                yield chunk

    def read(self, max_bytes: int) -> bytes:
        """Return the whole body; stops one byte beyond *max_bytes*.

        Raises:
            NetworkError: ``too_large``, or as ``chunks``.
        """
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > max_bytes:
                raise NetworkError(Code.TOO_LARGE, f"over {max_bytes} bytes")
        return bytes(body)


class Transport:
    """The connections of one visit. Not for use by two threads at a time."""

    def __init__(
        self,
        server: str,
        network: NetworkSettings,
        clock: Clock,
        *,
        system_proxies: Callable[[], Mapping[str, str]] = dict,
        proxy_headers: ProxyHeaders | None = None,
    ) -> None:
        self._network = network
        self._clock = clock
        self._proxies = Proxies(
            explicit=network.proxy, system=system_proxies, headers=proxy_headers
        )
        self._server = origin_of(server)
        self._origins = {self._server, *(origin_of(mirror) for mirror in network.mirrors)}
        self._paced = PacedManagers()
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close every connection."""
        for manager in self._managers.values():
            manager.clear()

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Return the body at *url*.

        Raises:
            NetworkError: No answer, none that is 200, or one over *max_bytes*.
            TrustError: ``redirect`` or ``too_slow``.
        """
        with self.open(url, limits=SHORT) as stream:
            if stream.status != _OK:
                raise status_error(stream)
            return stream.read(max_bytes)

    def post(self, url: str, document: Any) -> Answer:
        """Send *document* as JSON to the server, and only there; return its whole answer.

        Raises:
            NetworkError: No answer, or one over 64 KiB.
            TrustError: ``redirect`` or ``too_slow``.
        """
        body = json.dumps(document, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self.post_bytes(url, body, headers)

    def post_bytes(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limits: Limits = SHORT
    ) -> Answer:
        """Send *body* to the server, and only there; return its whole answer.

        Raises:
            NetworkError, TrustError: As ``post``.
        """
        # What names this install goes to its own server, never to a mirror.
        where = {self._server}
        with self._exchange("POST", url, headers, body, limits=limits, where=where) as stream:
            return Answer(
                status=stream.status,
                headers=stream.headers,
                body=stream.read(MAX_ANSWER_BYTES),
                retry_after_seconds=stream.retry_after_seconds,
            )

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, limits: Limits = LONG
    ) -> Iterator[Stream]:
        """Give the answer to a GET, whatever its status, its body unread.

        Raises:
            NetworkError, TrustError: As ``get``.
        """
        where = self._origins
        with self._exchange("GET", url, headers or {}, None, limits=limits, where=where) as stream:
            yield stream

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        limits: Limits,
        where: set[Origin],
    ) -> Iterator[Stream]:
        self._paced.pace = pace = Pace(limits, self._clock)
        first = origin_of(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, headers, body, limits)
            try:
                target = response.headers.get("location")
                if response.status not in _REDIRECTS or target is None:
                    yield Stream(self._answer(response), response, pace)
                    return
                if method != "GET" and response.status not in _KEEPS_METHOD:
                    raise TrustError(Code.REDIRECT, f"{response.status} to a {method}")
                url = _redirected(url, target, where)
                if origin_of(url) != first:
                    headers = {k: v for k, v in headers.items() if k != "Authorization"}
            finally:
                response.close()
        raise TrustError(Code.REDIRECT, f"over {MAX_REDIRECTS} redirects")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: Limits,
    ) -> urllib3.BaseHTTPResponse:
        self._check_scheme(url)
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        proxy = self._proxies.for_url(url)
        response = self._request(method, url, sent, body, limits, proxy)
        if response is None and self._proxies.headers is not None:
            # A ticket that was good an hour ago may be no more: the hook is asked for another.
            self._managers.pop(_key(url, proxy)).clear()
            response = self._request(method, url, sent, body, limits, proxy)
        if response is None:
            raise NetworkError(Code.PROXY_REFUSED, f"by {urlsplit(proxy).hostname}")
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            response.close()
            raise NetworkError(Code.UNEXPECTED_ANSWER, f"content-encoding {encoding[:40]}")
        return response

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: Limits,
        proxy: str,
    ) -> urllib3.BaseHTTPResponse | None:
        """Return the answer, or None when the proxy wants to know who we are."""
        timeout = urllib3.Timeout(connect=limits.connect_seconds, read=limits.gap_seconds)
        with _translated():
            try:
                response = self._manager_for(url, proxy).request(
                    method,
                    url,
                    body=body,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=timeout,
                )
            except ProxyError as error:  # https: it answered the CONNECT
                if f" {_PROXY_REFUSED} " in f"{error.original_error} ":
                    return None
                raise
        if proxy and response.status == _PROXY_REFUSED:
            response.close()
            return None
        return response

    def _answer(self, response: urllib3.BaseHTTPResponse) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            status=response.status,
            headers=headers,
            body=b"",
            retry_after_seconds=self._retry_after(headers.get("retry-after")),
        )

    def _retry_after(self, text: str | None) -> float | None:
        if text is None:
            return None
        if text.strip().isdecimal():
            return float(text.strip()[:9])
        try:
            wanted = parsedate_to_datetime(text)
            return max(0.0, (wanted - self._clock.now()).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return
        allowed = self._network.unsafe_allow_http or is_loopback(parts.hostname or "")
        if parts.scheme != "http" or not allowed:
            raise NetworkError(Code.UNSAFE_URL, f"{parts.scheme}://{parts.hostname}")

    def _manager_for(self, url: str, proxy: str) -> urllib3.PoolManager:
        key = _key(url, proxy)
        if key not in self._managers:
            # The system's certificates take a while to load: only where they are needed.
            pools: dict[str, Any] = {"ssl_context": self._ssl_context()} if key[1] else {}
            if proxy:
                headers = self._proxies.introduction(proxy)
                manager: urllib3.PoolManager = urllib3.ProxyManager(
                    proxy, proxy_headers=headers, **pools
                )
            else:
                manager = urllib3.PoolManager(**pools)
            self._managers[key] = self._paced.adopt(manager)
        return self._managers[key]

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._network.ca_file:
            try:
                context.load_verify_locations(cafile=self._network.ca_file)
            except OSError as error:
                raise ConfigError("network.ca_file", f"cannot be used: {error}") from error
        return context


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of *url*; what differs in one of them is another place."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def status_error(answer: Answer | Stream) -> NetworkError:
    """Return the error for an answer that is no success."""
    return NetworkError(
        Code.HTTP_STATUS,
        str(answer.status),
        status=answer.status,
        retry_after_seconds=answer.retry_after_seconds,
    )


def _redirected(url: str, target: str, where: set[Origin]) -> str:
    """Return the absolute URL of a redirect, or raise TrustError ``redirect``."""
    try:
        followed = urljoin(url, target)
        origin = origin_of(followed)
    except ValueError as error:
        raise TrustError(Code.REDIRECT, "to no URL") from error
    before = origin_of(url)
    if origin[0] != "https" and before[0] == "https":
        raise TrustError(Code.REDIRECT, "from https to http")
    if origin != before and origin not in where:
        raise TrustError(Code.REDIRECT, f"to {origin[1]}, which is no mirror")
    return followed


def _key(url: str, proxy: str) -> tuple[str, bool]:
    """Return what requests that may share a manager have in common: the proxy, and TLS."""
    return proxy, "https" in {urlsplit(url).scheme, urlsplit(proxy).scheme}


@contextmanager
def _translated() -> Iterator[None]:
    """Turn urllib3's errors into ours."""
    try:
        yield
    except NewConnectionError as error:  # by its type, it would pass for a time-out
        raise NetworkError(Code.UNREACHABLE, type(error).__name__) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise NetworkError(Code.TIMED_OUT, type(error).__name__) from error
    except (HTTPError, OSError) as error:
        raise NetworkError(Code.UNREACHABLE, type(error).__name__) from error
