"""The address at which an app's own crash SDK reports: ours, with this install's token as key.

``https://<token>@<host>/<project>``: SDKs make of it the URL of their envelopes below ``/api/``,
and the server reads from the token which install, release and rollout a report belongs to.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from packaging.version import Version

from client_agent.config import AppSettings, Telemetry
from client_agent.values import State
from rollout.versions import render_version

DSN_VARIABLE, RELEASE_VARIABLE = "SENTRY_DSN", "SENTRY_RELEASE"
"""Where SDKs look for it, and for what they call the version."""


def sentry_dsn(
    app: AppSettings, state: State, version: Version | None, level: Telemetry
) -> str | None:
    """Return the address for what happens on *version*.

    None where nothing of the kind may leave the machine, and until a server has told its number
    of the app and a token.
    """
    token = None if version is None else state.tokens.get(render_version(version))
    if level is not Telemetry.CRASH or token is None or state.project is None:
        return None
    server = urlsplit(app.server)
    return f"{server.scheme}://{token}@{server.netloc}{server.path}/{state.project}"


def minidump_url(app: AppSettings, project: int, token: str) -> str:
    """Return where a minidump goes that was left behind under *token*."""
    return f"{app.server}/api/{project}/minidump/?sentry_key={token}"
