"""Connections to where messages go, and to nowhere else.

Who may name a target, or answer for its name, must not make this server speak to what only it can
reach. So a name is resolved once, all that it resolves to must be public addresses, and it is
connected to one of those: another answer a moment later changes nothing. No redirect is followed.
What the settings allow by name may be private, and need not speak TLS.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from update_server.notify import deadline
from update_server.notify.deadline import Deadline
from update_server.service.ports.outbox import UndeliveredError

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host. Raises OSError."""

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
_PORTS: Final = {"https": 443, "http": 80, "smtp": 587, "smtps": 465}
_ENCRYPTED: Final = frozenset({"https", "smtps"})
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_MOST_OF_ANSWER: Final = 4_096  # it is read, so that the receiver has done, and thrown away


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of *host*, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


def trusted() -> ssl.SSLContext:
    """Return what decides whom to believe: the system's certificate authorities."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to connect to: a host by its name, and the one address that was looked up for it."""

    scheme: str
    host: str
    port: int
    address: str
    target: str  # path and query
    is_allowed: bool

    @property
    def host_header(self) -> str:
        """What the receiver is told that it is called."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How this server reaches others. Tests give their own answers."""

    resolve: Resolve = resolve
    trust: Callable[[], ssl.SSLContext] = field(default=trusted)

    def find(self, url: str, schemes: frozenset[str], allowed: Sequence[str]) -> Place:
        """Look up where *url* leads, if it may.

        Raises:
            UndeliveredError: It is no such URL, or does not lead to where it may.
        """
        parts = urlsplit(url)
        host, port = _host_of(parts, schemes)
        is_allowed = host in {name.lower() for name in allowed}
        if parts.scheme not in _ENCRYPTED and not is_allowed and parts.scheme != "smtp":
            raise UndeliveredError(f"{parts.scheme} is only for hosts in allow_private")
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise UndeliveredError(f"{host} has no address") from error
        if not addresses:
            raise UndeliveredError(f"{host} has no address")
        if not is_allowed and not all(map(is_public, addresses)):
            raise UndeliveredError(f"{host} is a private address, and not in allow_private")
        target = parts.path or "/"
        return Place(
            scheme=parts.scheme,
            host=host,
            port=port,
            address=addresses[0],
            target=f"{target}?{parts.query}" if parts.query else target,
            is_allowed=is_allowed,
        )

    def post(self, place: Place, body: bytes, headers: Mapping[str, str]) -> int:
        """Send *body*, and return the status of an answer that says it was taken.

        Raises:
            UndeliveredError: It was not.
        """
        told = {**headers, "Host": place.host_header}
        with Deadline(deadline.WHOLE_SECONDS) as end:
            try:
                with self._pool(place, end) as pool:
                    response = pool.urlopen(
                        "POST",
                        place.target,
                        body=body,
                        headers=told,
                        redirect=False,
                        retries=False,
                        preload_content=False,
                    )
                    _read_out(response)
            except urllib3.exceptions.HTTPError as error:
                why = too_late(place) if end.is_over else why_failed(place, error)
                raise UndeliveredError(why) from error
        if response.status in _REDIRECTS:
            why = f"{place.host} answered {response.status}: redirects are not followed"
            raise UndeliveredError(why, status=response.status)
        if response.status not in _OK:
            wish = _seconds(response.headers.get("Retry-After"))
            why = f"{place.host} answered {response.status}"
            raise UndeliveredError(why, status=response.status, retry_seconds=wish)
        return response.status

    def _pool(self, place: Place, end: Deadline) -> urllib3.HTTPConnectionPool:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        if place.scheme == "http":
            pool = urllib3.HTTPConnectionPool(place.address, place.port, timeout=timeout)
            pool.ConnectionCls = partial(_Connection, end)  # type: ignore[assignment]
            return pool
        pool = urllib3.HTTPSConnectionPool(
            place.address,
            place.port,
            timeout=timeout,
            ssl_context=self.trust(),
            server_hostname=place.host,  # asked for, and what the certificate must be for
        )
        pool.ConnectionCls = partial(_EncryptedConnection, end)  # type: ignore[assignment]
        return pool


class _Connection(HTTPConnection):
    """A connection that ends in time."""

    def __init__(self, end: Deadline, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._end = end

    def connect(self) -> None:
        super().connect()
        self._end.watch(self.sock)


class _EncryptedConnection(HTTPSConnection):
    """The same with TLS."""

    def __init__(self, end: Deadline, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._end = end

    def connect(self) -> None:
        super().connect()
        self._end.watch(self.sock)


def _read_out(response: urllib3.BaseHTTPResponse) -> None:
    """Read the answer's body and forget it: the status has said whether it was taken."""
    try:
        with suppress(urllib3.exceptions.HTTPError):
            response.read(_MOST_OF_ANSWER)
    finally:
        response.close()


def is_public(address: str) -> bool:
    """Whether everybody can reach *address*, and so nothing inside is reached by it."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(known, "ipv4_mapped", None) or getattr(known, "sixtofour", None)
    if inner is not None and not is_public(str(inner)):
        return False
    if known.version == 6 and known in _NAT64:  # noqa: PLR2004 - the protocol's number
        return is_public(str(ipaddress.IPv4Address(int(known) & 0xFFFF_FFFF)))
    if getattr(known, "is_site_local", False):  # fec0::/10, which Python takes for global
        return False
    return known.is_global and not known.is_multicast and not known.is_reserved


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def why_failed(place: Place, error: Exception) -> str:
    """Return why *place* could not be spoken to; the URL's path, a secret, is never in it."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    for each in reversed(causes):  # the first cause says most
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"{place.host} cannot prove who it is: {each.verify_message}"
        if isinstance(each, ssl.SSLError):
            return f"{place.host} does not speak TLS as it should"
        if isinstance(each, (TimeoutError, urllib3.exceptions.TimeoutError)):
            return too_late(place)
        if isinstance(each, OSError) and each.strerror:
            return f"{place.host} cannot be reached: {each.strerror}"
    return f"{place.host} broke the connection off"


def too_late(place: Place) -> str:
    """Return that *place* took too long."""
    return f"{place.host} did not answer in time"


def _host_of(parts: SplitResult, schemes: frozenset[str]) -> tuple[str, int]:
    wanted = " or ".join(sorted(f"{scheme}://" for scheme in schemes))
    if parts.scheme not in schemes or not parts.hostname:
        raise UndeliveredError(f"the address does not begin with {wanted} and a host")
    if parts.username is not None or parts.password is not None:
        raise UndeliveredError("the address names a user: there is a setting for that")
    try:
        return parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise UndeliveredError("the address has no port that exists") from error


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None
