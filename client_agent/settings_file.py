"""``agent.toml``: the settings of an agent, as a person writes them.

What decides about trust (app, channel, platform, server, root) is compiled in where the agent
lives in an app: there, ``[app]`` in a file beside it is passed over. Only ``serinus-agent``, which
is compiled into nothing, takes it from its file. Everything else may stand in the file.

Keys that are not known are refused by name: a misspelt limit must not silently be none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from client_agent.config import (
    METRIC_NAME,
    AppSettings,
    ConfirmBy,
    CrashSettings,
    HealthSettings,
    NetworkSettings,
    PolicySettings,
    QuietHours,
    Settings,
    this_platform,
)
from client_agent.errors import ConfigError
from rollout.errors import BadNameError
from rollout.names import check_app, check_channel, check_platform

MAX_ROOT_METADATA_BYTES = 512_000
MAX_CONFIG_BYTES = 256 * 1024

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def load(path: Path, *, confirm: ConfirmBy = ConfirmBy.APP) -> Settings:
    """Return the settings of the ``agent.toml`` at *path*, ``[app]`` included.

    Relative paths in it start at its folder. *confirm* holds where it says nothing else.

    Raises:
        ConfigError: It cannot be read, or a key is missing, unknown or out of bounds.
    """
    document = _read(path)
    folder = path.resolve().parent
    table = _Table("app", document.pop("app", None))
    app = AppSettings(
        app=_named(table, "app", check_app),
        channel=_named(table, "channel", check_channel, "stable"),
        platform=_named(table, "platform", check_platform, this_platform()),
        server=_url(table.key("server"), table.text("server")),
        root_metadata=_root_metadata(folder / table.text("root_metadata", "root.json")),
    )
    table.done()
    return with_document(Settings(app=app, root=folder, confirm=confirm), document, folder)


def with_file(settings: Settings, path: Path) -> Settings:
    """Return *settings* with those of the file at *path*, if there is one, in their place.

    What decides about trust stays as it is.

    Raises:
        ConfigError: As ``load``.
    """
    try:
        if not path.is_file():
            return settings
    except OSError as error:  # its folder is another user's
        raise ConfigError(path.name, f"cannot be read: {error.strerror}") from error
    document = _read(path)
    document.pop("app", None)
    return with_document(settings, document, path.resolve().parent)


def with_document(settings: Settings, document: dict[str, Any], folder: Path) -> Settings:
    """Return *settings* with those of the parsed *document* in their place.

    Raises:
        ConfigError: A key is unknown, of another type, or out of bounds.
    """
    tables = {name: _Table(name, document.pop(name, {})) for name in _TABLES}
    if document:
        raise ConfigError(min(document), "no such table")
    agent, network, health = tables["agent"], tables["network"], tables["health"]
    policy, crash = tables["policy"], tables["crash"]
    old_network, old_health, old_crash = settings.network, settings.health, settings.crash
    read = Settings(
        app=settings.app,
        root=folder / agent.text("root", str(settings.root)),
        apply=agent.choice("apply", settings.apply),
        telemetry=agent.choice("telemetry", settings.telemetry),
        confirm=agent.choice("confirm", settings.confirm),
        identity=agent.choice("identity", settings.identity),
        metrics=_metrics(agent.key("metrics"), agent.texts("metrics", settings.metrics)),
        grace_seconds=agent.whole("grace_seconds", settings.grace_seconds, 0, 600),
        network=NetworkSettings(
            mirrors=tuple(
                _url(network.key("mirrors"), text)
                for text in network.texts("mirrors", old_network.mirrors)
            ),
            proxy=network.text("proxy", old_network.proxy),
            ca_file=network.text("ca_file", old_network.ca_file),
            max_bytes_per_second=network.whole(
                "max_bytes_per_second", old_network.max_bytes_per_second, 0, 2**40
            ),
            unsafe_allow_http=network.flag("unsafe_allow_http", old_network.unsafe_allow_http),
        ),
        health=HealthSettings(
            uptime_seconds=health.whole("uptime_seconds", old_health.uptime_seconds, 1, 86_400),
            deadline_seconds=health.whole(
                "deadline_seconds", old_health.deadline_seconds, 1, 86_400
            ),
            command=health.texts("command", old_health.command),
            command_seconds=health.whole("command_seconds", old_health.command_seconds, 1, 3_600),
        ),
        policy=PolicySettings(
            quiet_hours=_quiet_hours(
                policy.key("quiet_hours"), policy.text("quiet_hours", ""), settings.policy
            ),
            metered=policy.choice("metered", settings.policy.metered),
            hard_links=policy.flag("hard_links", settings.policy.hard_links),
        ),
        crash=CrashSettings(
            crash_exit_codes=crash.numbers("crash_exit_codes", old_crash.crash_exit_codes),
            minidump_dirs=tuple(
                folder / text
                for text in crash.texts("minidump_dirs", tuple(map(str, old_crash.minidump_dirs)))
            ),
            messages=crash.flag("messages", old_crash.messages),
        ),
        in_process=agent.flag("in_process", settings.in_process),
        unsafe_speed=tables["schedule"].real("unsafe_speed", settings.unsafe_speed, 1, 1e6),
    )
    for table in tables.values():
        table.done()
    return read


_TABLES = ("agent", "network", "policy", "health", "crash", "schedule")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        if len(data) > MAX_CONFIG_BYTES:
            raise ConfigError(path.name, f"is over {MAX_CONFIG_BYTES} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(path.name, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(path.name, f"cannot be read: {error}") from error


def _root_metadata(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError("app.root_metadata", f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_ROOT_METADATA_BYTES:
        raise ConfigError("app.root_metadata", f"is over {MAX_ROOT_METADATA_BYTES} bytes")
    return data


def _named(
    table: _Table, name: str, check: Callable[[str], str], default: str | None = None
) -> str:
    try:
        return check(table.text(name, default))
    except BadNameError as error:
        raise ConfigError(table.key(name), error.rule) from error


def _metrics(key: str, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(METRIC_NAME, name):
            raise ConfigError(key, "has a name that is none, such as startup_ms")
    return names


def _quiet_hours(key: str, text: str, before: PolicySettings) -> QuietHours | None:
    """Return what *text* says, such as ``22:00-07:00``; nothing leaves it as it was *before*."""
    if not text:
        return before.quiet_hours
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text, re.ASCII)
    try:
        start, end = (
            (time.fromisoformat(part) for part in found.groups()) if found else (None, None)
        )
    except ValueError:
        start = end = None
    if start is None or end is None or start == end:
        raise ConfigError(key, "is no span such as 22:00-07:00")
    return QuietHours(start, end)


def _url(key: str, text: str) -> str:
    """Return *text* without a final slash if it is a base URL; else raise ConfigError."""
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a bad port, or brackets around no address
        is_one = None
    if not is_one:
        raise ConfigError(key, "is no http(s) URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(key, "has a user, a query or a fragment")
    return text.rstrip("/")


class _Table:
    """A table of the document, read key by key; what is left over is not known."""

    def __init__(self, name: str, found: object) -> None:
        self._name = name
        if not isinstance(found, dict):
            raise ConfigError(name, "is no table" if found is not None else "is missing")
        self._left = dict(found)

    def key(self, name: str) -> str:
        return f"{self._name}.{name}"

    def text(self, name: str, default: str | None = None) -> str:
        return self._take(name, str, default)

    def flag(self, name: str, default: bool) -> bool:
        return self._take(name, bool, default)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        number = self._take(name, int, default)
        if not low <= number <= high:
            raise ConfigError(self.key(name), f"is not between {low} and {high}")
        return number

    def real(self, name: str, default: float, low: float, high: float) -> float:
        found = self._left.pop(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise ConfigError(self.key(name), "is no number")
        if not low <= found <= high:
            raise ConfigError(self.key(name), f"is not between {low} and {high}")
        return float(found)

    def choice(self, name: str, default: E) -> E:
        text = self._take(name, str, str(default))
        try:
            return type(default)(text)
        except ValueError:
            words = ", ".join(type(default))
            raise ConfigError(self.key(name), f"is none of {words}") from None

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found = self._left.pop(name, list(default))
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise ConfigError(self.key(name), "is no list of texts")
        return tuple(found)

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        found = self._left.pop(name, list(default))
        if not isinstance(found, list) or not all(type(number) is int for number in found):
            raise ConfigError(self.key(name), "is no list of whole numbers")
        return tuple(found)

    def done(self) -> None:
        if self._left:
            raise ConfigError(self.key(min(self._left)), "is not known")

    def _take(self, name: str, kind: type[T], default: T | None) -> T:
        found = self._left.pop(name, default)
        if found is None:
            raise ConfigError(self.key(name), "is missing")
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise ConfigError(self.key(name), f"is no {kind.__name__}")
        return found
