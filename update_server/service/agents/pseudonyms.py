"""Names that stand for an install, and hashes that stand for a secret.

The raw install ID is never stored, not even in a spool (docs/architecture.md, Telemetry).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from functools import lru_cache

from rollout.model import InstallId

INSTALL_KEY_BYTES = 32

_NETWORK_BYTES = 16
_REPORTER_BYTES = 16
_REPORT_BYTES = 16
_TAG_BYTES = 8  # of a key: as much as an install token tells
_NOBODY = frozenset({"", "unix:"})
_IPV4_PREFIX_BYTES, _IPV6_PREFIX_BYTES = 3, 6  # /24 and /48: one subscriber's, at most
_REMEMBERED = 16_384


def install_key(pepper: bytes, app: str, install_id: InstallId) -> bytes:
    """Return the 32 bytes under which this install of *app* is known."""
    return hmac.digest(pepper, app.encode() + b"\0" + install_id.encode(), "sha256")


def reporter_key(pepper: bytes, app: str, name: str) -> bytes:
    """Return the 16 bytes that stand for *name*, by which a crash handler calls who reports.

    It is no install ID of ours, so nothing else is known by these bytes: they only tell apart.
    """
    key = hmac.digest(pepper, b"reporter", "sha256")
    told = app.encode() + b"\0" + name.encode(errors="surrogatepass")
    return hmac.digest(key, told, "sha256")[:_REPORTER_BYTES]


def report_key(pepper: bytes, app: str, version: str, install: bytes) -> bytes:
    """Return the 16 bytes under which an install's reports about *version* are kept.

    *install* is its key, or how that begins: the same install has the same report key either way.
    Those of two versions cannot be linked by whoever has not the pepper.
    """
    told = b"\0".join((b"report", app.encode(), version.encode(), install[:_TAG_BYTES]))
    return hmac.digest(pepper, told, "sha256")[:_REPORT_BYTES]


def session_key(pepper: bytes, app: str, install: bytes, sid: str) -> bytes:
    """Return the 16 bytes for a session of an install, whatever version it tells.

    The install is in it, so nobody can end another's session by its *sid*.
    """
    told = b"\0".join((b"session", app.encode(), install[:_TAG_BYTES].hex().encode()))
    told += b"\0" + sid.encode(errors="surrogatepass")
    return hmac.digest(pepper, told, "sha256")[:_REPORT_BYTES]


def sample_id(pepper: bytes, app: str, install: bytes, event_id: str) -> str:
    """Return by what the sample of an event is known: 32 hex digits.

    Not by the event's own ID, which stands beside the install's key among those that were seen.
    """
    told = b"\0".join((b"sample", app.encode(), install[:_TAG_BYTES].hex().encode()))
    told += b"\0" + event_id.encode(errors="surrogatepass")
    return hmac.digest(pepper, told, "sha256")[:_REPORT_BYTES].hex()


@lru_cache(maxsize=_REMEMBERED)
def network_hash(pepper: bytes, app: str, address: str) -> bytes:
    """Return the 16 bytes by which the /24 or /48 around *address* is known for *app*.

    They are empty where it tells nobody apart: for no address, and for this machine itself, which
    is a proxy that is not listed as one. Whatever is no address is one network: else whoever can
    make it up would be in none, and believed without limit.
    """
    if address in _NOBODY:
        return b""
    key = hmac.digest(pepper, b"network", "sha256")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return hmac.digest(key, app.encode(), "sha256")[:_NETWORK_BYTES]
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.is_loopback:
        return b""
    prefix = _IPV4_PREFIX_BYTES if parsed.version == 4 else _IPV6_PREFIX_BYTES  # noqa: PLR2004
    network = app.encode() + b"\0" + parsed.packed[:prefix]
    return hmac.digest(key, network, "sha256")[:_NETWORK_BYTES]


def hash_of_secret(secret: str) -> str:
    """Return the lower-case hex SHA-256 by which a credential, code or token is stored.

    A plain hash is enough: these secrets are drawn by us with 160 bits or more.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
