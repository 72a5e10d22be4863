"""The people who look at the demo's pages, and how whoever runs the demo becomes one of them.

Each is let in as in life: the command prints a link that works once, and the link's page takes
the password, which nobody else is told.
"""

from __future__ import annotations

import os
import secrets
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from update_server.cli.demo.roads import Publisher
from update_server.cli.errors import CliError

NAMES = ("ana", "ben")
"""Operators. Two, so that one can try what takes two."""

_PASSWORD_BYTES = 12
_SEE_OTHER = 303
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who may sign in to the pages at ``url``, all with one ``password``."""

    url: str
    password: str

    def document(self) -> dict[str, Any]:
        """Return them for the JSON document."""
        return {"url": self.url, "operators": list(NAMES), "password": self.password}

    def sentence(self) -> str:
        """Return where the pages are, and how to get in."""
        return f"{self.url}/ : sign in as {' or '.join(NAMES)}, password {self.password}"


def invite(publisher: Publisher, admin_url: str) -> People:
    """Let ``NAMES`` sign in to the pages of the server at *admin_url*.

    Raises:
        CliError: The command or the page does not let them.
    """
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    for name in NAMES:
        made = publisher.run("operator", "add", name, "--role", "operator")
        _choose(str(made["link"]), admin_url, password)
    return People(url=admin_url, password=password)


def open_pages(people: People, environment: Mapping[str, str] = os.environ) -> bool:
    """Open the pages in a browser; return whether there is a screen that one could open on."""
    # Without a screen a browser would be one that takes the terminal.
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        return False
    return webbrowser.open(f"{people.url}/")


def nobody_looks(_people: People) -> None:
    """Open nothing."""


def _choose(link: str, admin_url: str, password: str) -> None:
    """Set a password by *link*, with the form of its page."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=_SECONDS), retries=False)
    form = {"password": password, "again": password}
    try:
        answer = pool.request(
            "POST",
            link,
            fields=form,
            encode_multipart=False,
            headers={"Origin": admin_url},
            redirect=False,
        )
    except urllib3.exceptions.HTTPError as error:
        raise CliError("unreachable", f"the page for a password did not answer: {error}") from error
    if answer.status != _SEE_OTHER:
        raise CliError("refused", f"the page for a password answered {answer.status}")
