"""Settings of a server, read once from the ``[server]`` table of ``serinus.toml``.

Not here: what the publishers' command keeps in the same file (``cli.workspace``).
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from update_server.config_dashboard import Dashboard, DashboardError, read_dashboard
from update_server.config_tee import Dsn, TeeError, read_tee

if TYPE_CHECKING:
    from update_server.notify.settings import TargetSettings

CONFIG_FILE = "serinus.toml"


class ConfigError(Exception):
    """A setting is wrong. The text says which, where, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where a server keeps its data, where it listens, and how it behaves.

    ``data`` holds the database (unless ``database`` names another), published files,
    spools and the signer's memory. ``lease_seconds`` bounds how long a web process may
    offer what it last confirmed. ``file_offload`` hands files to a proxy in front:
    ``x-accel-redirect`` or ``x-sendfile``. ``trusted_proxies`` are the networks whose word
    for a client's address is believed. ``notify`` is read from the tables of that name, ``tee``
    from [telemetry]: to whom accepted crash reports of an app are passed on; ``dashboard`` from
    [dashboard]: how people reach the pages.
    """

    path: Path
    data: Path
    database: str
    public: str = "127.0.0.1:8080"
    admin: str = "127.0.0.1:8081"
    workers: int = 2
    lease_seconds: int = 2
    next_check_in_seconds: int = 14_400
    file_offload: str = ""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "10.0.0.0/8")
    notify: tuple[TargetSettings, ...] = ()
    tee: Mapping[str, Dsn] = field(default_factory=lambda: MappingProxyType({}))
    dashboard: Dashboard = field(default_factory=Dashboard)

    @property
    def signer_socket(self) -> Path:
        """The Unix socket on which the signer answers."""
        return self.data / "signer.sock"

    @property
    def public_address(self) -> tuple[str, int]:
        """Host and port of the public app."""
        return _address(self.path, "public", self.public)

    @property
    def admin_address(self) -> tuple[str, int]:
        """Host and port of the admin app."""
        return _address(self.path, "admin", self.admin)


_BOUNDS = {
    "workers": (1, 64),
    "lease_seconds": (1, 60),
    "next_check_in_seconds": (1, 86_400),
}
_ELSEWHERE = ("path", "notify", "tee", "dashboard")  # not in [server]
_DATABASE = re.compile(r"sqlite:///.+|postgresql(\+psycopg)?://.+")
# The kernel's bound for the path of a Unix socket, less its final zero.
_SOCKET_PATH_BYTES = 107
_FILE_OFFLOADS = ("", "x-accel-redirect", "x-sendfile")


def load(path: Path) -> Config:
    """Read the server's settings from *path* (``serinus.toml``, or the folder with it).

    Raises:
        ConfigError: The file is missing, is no TOML, or has a wrong or unknown setting.
    """
    path = (path / CONFIG_FILE if path.is_dir() else path).absolute()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}: make a workspace with `serinus init`") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [server] must be a table")
    try:
        tee, dashboard = read_tee(document), read_dashboard(document, path.parent)
    except (DashboardError, TeeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    targets = _targets(path, document)
    return replace(_config(path, table), notify=targets, tee=tee, dashboard=dashboard)


def _targets(path: Path, document: Mapping[str, Any]) -> tuple[TargetSettings, ...]:
    if "notify" not in document:
        return ()
    from update_server import config_notify  # noqa: PLC0415 - slow, and only for those

    try:
        text = path.read_text(encoding="utf-8")
        return config_notify.read_targets(document, text, path.parent)
    except config_notify.NotifyError as error:
        raise ConfigError(f"{path}, {error}") from error


def _config(path: Path, table: Mapping[str, Any]) -> Config:
    known = {each.name for each in fields(Config) if each.name not in _ELSEWHERE}
    for name, value in table.items():
        if name not in known:
            allowed = ", ".join(sorted(known))
            raise ConfigError(f"{path}: [server] has no setting {name!r}; there are {allowed}")
        if name in _BOUNDS:
            _check_number(path, name, value)
        elif name == "trusted_proxies":
            _check_networks(path, name, value)
        elif type(value) is not str:
            raise ConfigError(f"{path}: [server] {name} must be text in quotes, not {value!r}")
    data = path.parent / table.get("data", "server")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }
    given |= {"data": data, "database": table.get("database") or f"sqlite:///{data / 'serinus.db'}"}
    config = Config(path=path, **given)
    _check(path, config)
    return config


def _check_number(path: Path, name: str, value: object) -> None:
    low, high = _BOUNDS[name]
    if type(value) is not int:
        raise ConfigError(f"{path}: [server] {name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{path}: [server] {name} must be {low} to {high}, not {value}")


def _check_networks(path: Path, name: str, value: object) -> None:
    allowed = 'a list of addresses and networks, such as ["127.0.0.1", "10.0.0.0/8"]'
    wrong = ConfigError(f"{path}: [server] {name} must be {allowed}, not {value!r}")
    if not isinstance(value, list) or not all(type(text) is str for text in value):
        raise wrong
    try:
        for text in value:
            ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise wrong from error


def _check(path: Path, config: Config) -> None:
    if not _DATABASE.fullmatch(config.database):
        # What it is instead is not shown: it may hold a password.
        allowed = "sqlite:///PATH or postgresql://USER@HOST/NAME"
        raise ConfigError(f"{path}: [server] database must be {allowed}")
    if config.file_offload not in _FILE_OFFLOADS:
        allowed = " or ".join(filter(None, _FILE_OFFLOADS))
        raise ConfigError(f"{path}: [server] file_offload must be {allowed}, or empty")
    if config.public_address == config.admin_address:
        raise ConfigError(f"{path}: [server] public and admin must not be the same address")
    if len(os.fsencode(config.signer_socket)) > _SOCKET_PATH_BYTES:
        most = f"so that {config.signer_socket} has at most {_SOCKET_PATH_BYTES} bytes"
        raise ConfigError(f"{path}: [server] data must be a shorter path, {most}")


def _address(path: Path, name: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:  # noqa: PLR2004 - ports end there
        raise ConfigError(f"{path}: [server] {name} must be HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)
