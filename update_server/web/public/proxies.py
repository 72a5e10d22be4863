"""Whose address a request came from: ``X-Forwarded-For`` is believed of our own proxies only."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from wsgiref.types import WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Some hundred bytes each; a busy process sees the same addresses again and again.
_REMEMBERED = 16_384


class Proxies:
    """The networks in which the proxies in front of this server stand."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        networks = tuple(ipaddress.ip_network(text, strict=False) for text in trusted)

        # A check-in waits for this, and parsing an address takes longer than all else here.
        @lru_cache(maxsize=_REMEMBERED)
        def is_trusted(address: str) -> bool:
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError:
                return False
            mapped = getattr(parsed, "ipv4_mapped", None)
            return any((mapped or parsed) in network for network in networks)

        self._is_trusted = is_trusted

    def client_of(self, environ: WSGIEnvironment) -> str | None:
        """Return the address of the client behind a request; None when it cannot be known.

        From right to left, each address was written down by the proxy after it: the first
        one that is not our own is the client's. What stands further left anybody may claim.
        """
        address: str = environ.get("REMOTE_ADDR", "")
        if not self._is_trusted(address):
            return address or None
        hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        for hop in reversed([hop for hop in hops if hop]):
            address = _without_port(hop)
            if not self._is_trusted(address):
                return address
        return address

    def is_https(self, environ: WSGIEnvironment) -> bool:
        """Whether a request came by TLS, to this server or to a proxy of our own before it."""
        if environ.get("wsgi.url_scheme") == "https":
            return True
        told = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
        return told == "https" and self._is_trusted(environ.get("REMOTE_ADDR", ""))


def _without_port(hop: str) -> str:
    """Return the address in *hop*: some proxies write down the client's port, too."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
