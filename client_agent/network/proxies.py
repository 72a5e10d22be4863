"""Which proxy a request goes through, and how we introduce ourselves to it.

Explicit settings come first, then the environment, then the system's own; this machine itself is
never asked for through one. Proxies that want more than a name and a password (Kerberos, NTLM
with a ticket of the app's) get what the app's hook says. A script that chooses proxies (PAC) is
the app's to run: it passes what that returned as the explicit proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

import urllib3

from client_agent.errors import Code, NetworkError

ProxyHeaders = Callable[[str], Mapping[str, str]]
"""Returns the headers for the proxy at that URL; asked again when they were refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies of one agent. *system* is the platform's: the environment's, else its own."""

    explicit: str = ""
    system: Callable[[], Mapping[str, str]] = dict
    headers: ProxyHeaders | None = None

    def for_url(self, url: str) -> str:
        """Return the proxy's URL for *url*, or nothing.

        Raises:
            NetworkError: ``proxy_refused``: what is set there is no URL.
        """
        found = self._set_for(url)
        # Not even its host is told: who forgets a scheme or a bracket has a password in there.
        try:
            is_one = not found or (urlsplit(found).port != 0 and urlsplit(found).hostname)
        except ValueError:
            is_one = None
        if not is_one:
            raise NetworkError(Code.PROXY_REFUSED, "the proxy that is set is no URL")
        return found

    def _set_for(self, url: str) -> str:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if is_loopback(host):
            return ""
        if self.explicit:
            return with_scheme(self.explicit)
        proxies = dict(self.system())
        if is_excepted(host, proxies.get("no", "")):
            return ""
        return with_scheme(proxies.get(parts.scheme, proxies.get("all", "")))

    def introduction(self, proxy: str) -> dict[str, str]:
        """Return the headers that the proxy gets: of the user in its URL, and of the app's hook.

        Raises:
            NetworkError: ``proxy_refused``: the hook has none.
        """
        parts = urlsplit(proxy)
        headers: dict[str, str] = {}
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers |= urllib3.make_headers(proxy_basic_auth=who)
        if self.headers is not None:
            bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            try:
                given = {str(name): str(text) for name, text in self.headers(bare).items()}
            except Exception as error:  # whatever the app's code raises
                raise NetworkError(Code.PROXY_REFUSED, type(error).__name__) from error
            # A ticket in base64 with a line break at its end would be an error that quotes it.
            if not all(
                part.isascii() and part.isprintable() for one in given.items() for part in one
            ):
                raise NetworkError(Code.PROXY_REFUSED, "a header that cannot be")
            headers |= given
        return headers


def with_scheme(proxy: str) -> str:
    """Return *proxy* as a URL: many systems name host and port alone."""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_excepted(host: str, exceptions: str) -> bool:
    """Return whether *host* is one of the comma-separated exceptions.

    They are hosts, domains (with or without a leading dot), networks (``10.0.0.0/8``), patterns
    with ``*``, or ``<local>``: every name without a dot.
    """
    host = host.lower()
    address = _address(host)
    return any(
        _fits(host, address, name.strip().lower()) for name in exceptions.split(",") if name.strip()
    )


def _fits(
    host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, name: str
) -> bool:
    if name == "<local>":
        return address is None and "." not in host
    if "*" in name:
        return fnmatchcase(host, name)
    if "/" in name:
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
        return address is not None and address in network
    domain = name.lstrip(".")
    return host == domain or (address is None and host.endswith(f".{domain}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
