"""Who asks the admin app for something."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A publisher, operator or program behind a verified API token.

    ``name`` goes to the audit log. ``app`` is the only app the token is for; None: all.
    ``secret`` is the bearer token itself: the signer wants to see it before it takes a
    change as approved, and nothing else may read it.
    """

    name: str
    token_id: str
    app: str | None = None
    secret: str = field(default="", repr=False)


AUTOMATIC = Caller(name="serinus", token_id="")
"""The server itself: it has no token, and so approves nothing."""
