"""Names that stand for an install, and hashes that stand for a secret.

The raw install ID is never stored, not even in a spool (docs/architecture.md, Telemetry).
"""

from __future__ import annotations

import hashlib
import hmac

from rollout.model import InstallId

INSTALL_KEY_BYTES = 32


def install_key(pepper: bytes, app: str, install_id: InstallId) -> bytes:
    """Return the 32 bytes under which this install of *app* is known."""
    return hmac.digest(pepper, app.encode() + b"\0" + install_id.encode(), "sha256")


def hash_of_secret(secret: str) -> str:
    """Return the lower-case hex SHA-256 by which a credential, code or token is stored.

    A plain hash is enough: these secrets are drawn by us with 160 bits or more.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
