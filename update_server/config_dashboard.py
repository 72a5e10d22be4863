"""How people reach the pages, and sign in: the ``[dashboard]`` table of ``serinus.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, cast
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_CLAIMS: Final = ("email", "sub")
_OF_OIDC: Final = ("issuer", "client_id", "client_secret_file", "claim", "name")
_NEEDED: Final = ("issuer", "client_id", "client_secret_file")


class DashboardError(ValueError):
    """A setting is wrong. The text says which one, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """An OpenID Connect provider. ``claim`` of its tokens is what operators' identity is."""

    issuer: str
    client_id: str
    client_secret_file: Path
    claim: Literal["email", "sub"] = "email"
    name: str = "single sign-on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """``url`` is where people reach the pages, without a final slash; empty: not told."""

    url: str = ""
    oidc: Oidc | None = None


def read_dashboard(document: Mapping[str, Any], folder: Path) -> Dashboard:
    """Return what *document* says; files are relative to *folder*.

    Raises:
        DashboardError: A setting is wrong or unknown.
    """
    table = document.get("dashboard", {})
    if not isinstance(table, dict):
        raise DashboardError("[dashboard] must be a table")
    for name in table:
        if name not in {"url", "oidc"}:
            raise DashboardError(f"[dashboard] has no setting {name!r}; there are oidc, url")
    url = _origin(table["url"]) if "url" in table else ""
    if "oidc" not in table:
        return Dashboard(url=url)
    if not url:
        _refuse("url", "must be there as well: the provider sends people back to it")
    return Dashboard(url=url, oidc=_oidc(table["oidc"], folder))


def _oidc(table: object, folder: Path) -> Oidc:
    if not isinstance(table, dict):
        raise DashboardError("[dashboard.oidc] must be a table")
    for name, value in table.items():
        if name not in _OF_OIDC:
            allowed = ", ".join(sorted(_OF_OIDC))
            raise DashboardError(f"[dashboard.oidc] has no setting {name!r}; there are {allowed}")
        if not isinstance(value, str) or not value:
            _refuse(f"oidc.{name}", "must be text in quotes")
    for name in _NEEDED:
        if name not in table:
            _refuse(f"oidc.{name}", "is missing")
    claim = table.get("claim", "email")
    if claim not in _CLAIMS:
        _refuse("oidc.claim", f"must be {' or '.join(_CLAIMS)}, not {claim!r}")
    return Oidc(
        issuer=_issuer(table["issuer"]),
        client_id=table["client_id"],
        client_secret_file=folder / table["client_secret_file"],
        claim=cast("Literal['email', 'sub']", claim),
        name=table.get("name", "single sign-on"),
    )


def _origin(text: object) -> str:
    must = "must be an address without a path, such as https://serinus.example.org"
    if not isinstance(text, str):
        _refuse("url", must)
    parts = _parts("url", text, must)
    if parts[0] not in {"http", "https"} or not parts[1] or parts[2] not in {"", "/"}:
        _refuse("url", f"{must}, not {text!r}")
    return f"{parts[0]}://{parts[1]}"


def _issuer(text: str) -> str:
    must = "must be the https address by which the provider calls itself"
    scheme, host, _ = _parts("oidc.issuer", text, must)
    is_loopback = urlsplit(text).hostname in _LOOPBACK
    if not host or not (scheme == "https" or (scheme == "http" and is_loopback)):
        _refuse("oidc.issuer", f"{must}, not {text!r}")
    return text


def _parts(name: str, text: str, must: str) -> tuple[str, str, str]:
    """Return scheme, host with its port, and path of *text*, which has nothing else."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        _refuse(name, must)
    if parts.query or parts.fragment or parts.username or not text.isprintable():
        _refuse(name, must)
    return parts.scheme, parts.netloc.lower(), parts.path


def _refuse(name: str, must: str) -> NoReturn:
    raise DashboardError(f"[dashboard] {name} {must}")
