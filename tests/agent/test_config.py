from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from client_agent.config import (
    Apply,
    AppSettings,
    ConfirmBy,
    Metered,
    QuietHours,
    Settings,
    Telemetry,
    this_platform,
)
from client_agent.errors import ConfigError
from client_agent.settings_file import load, with_file

APP = """
[app]
app = "notes"
server = "https://updates.example.org/"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "root.json").write_bytes(b"{}")
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_the_shortest_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(written(tmp_path, APP))

    assert settings.app == AppSettings(
        app="notes",
        channel="stable",
        platform=this_platform(),
        server="https://updates.example.org",
        root_metadata=b"{}",
    )
    assert settings.root == tmp_path
    assert settings.apply is Apply.ON_QUIT
    assert settings.telemetry is Telemetry.CRASH
    assert settings.health.uptime_seconds == 60
    assert settings.crash.crash_exit_codes == (1, 101)
    assert settings.policy.quiet_hours is None
    assert settings.policy.metered is Metered.WAIT
    assert not settings.policy.hard_links
    assert settings.unsafe_speed == 1.0


def test_every_setting_can_be_written(tmp_path: Path) -> None:
    text = """
    [agent]
    apply = "now"
    telemetry = "health"
    confirm = "uptime"
    identity = "volatile"
    metrics = ["frame_ms"]
    root = "tree"
    grace_seconds = 3
    in_process = true
    [network]
    mirrors = ["https://cdn.example.org/notes/"]
    proxy = "http://proxy:3128"
    ca_file = "/etc/ca.pem"
    max_bytes_per_second = 1000
    unsafe_allow_http = true
    [health]
    uptime_seconds = 5
    deadline_seconds = 50
    command = ["--version"]
    command_seconds = 7
    [crash]
    crash_exit_codes = [3]
    minidump_dirs = ["dumps", "/var/crash/notes"]
    messages = true
    [policy]
    quiet_hours = "22:00-07:00"
    metered = "ignore"
    hard_links = true
    [schedule]
    unsafe_speed = 600
    """

    settings = load(written(tmp_path, APP + text))

    assert settings.root == tmp_path / "tree"
    assert settings.apply is Apply.NOW
    assert settings.confirm is ConfirmBy.UPTIME
    assert settings.metrics == ("frame_ms",)
    assert settings.network.mirrors == ("https://cdn.example.org/notes",)
    assert settings.network.unsafe_allow_http
    assert settings.health.command == ("--version",)
    assert settings.crash.crash_exit_codes == (3,)
    assert settings.crash.minidump_dirs == (tmp_path / "dumps", Path("/var/crash/notes"))
    assert settings.crash.messages
    assert settings.policy.quiet_hours == QuietHours(time(22), time(7))
    assert settings.policy.metered is Metered.IGNORE
    assert settings.policy.hard_links
    assert settings.in_process
    assert settings.unsafe_speed == 600.0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[app]\napp = 'notes'", "app.server"),
        ("[agent]\n", "app"),
        ("[app]\napp = 'No!'\nserver='https://u'", "app.app"),
        ("[app]\napp = 'notes'\nserver='ftp://u'", "app.server"),
        ("[app]\napp = 'notes'\nserver='https://me:pw@u'", "app.server"),
        ("[app]\napp = 'notes'\nserver='https://u'\nroot_metadata='no.json'", "app.root_metadata"),
        ("[app]\napp = 'notes'\nserver='https://u'\nroots='x'", "app.roots"),
        (APP + "[agent]\napply = 'never'", "agent.apply"),
        (APP + "[agent]\naply = 'now'", "agent.aply"),
        (APP + "[agnt]\napply = 'now'", "agnt"),
        (APP + "[agent]\napply = 3", "agent.apply"),
        (APP + "[health]\nuptime_seconds = 0", "health.uptime_seconds"),
        (APP + "[health]\nuptime_seconds = true", "health.uptime_seconds"),
        (APP + "[health]\ncommand = 'x'", "health.command"),
        (APP + "[network]\nmirrors = ['cdn']", "network.mirrors"),
        (APP + "[network]\nmirrors = ['http://[cdn']", "network.mirrors"),
        (APP + "[network]\nmirrors = ['https://cdn:port']", "network.mirrors"),
        (APP + "[crash]\ncrash_exit_codes = ['1']", "crash.crash_exit_codes"),
        (APP + "[crash]\nminidumps = []", "crash.minidumps"),
        (APP + "[agent]\nmetrics = ['Frame ms']", "agent.metrics"),
        (APP + "[policy]\nstable_path = true", "policy.stable_path"),
        (APP + "[policy]\nmetered = 'never'", "policy.metered"),
        (APP + "[policy]\nquiet_hours = 'at night'", "policy.quiet_hours"),
        (APP + "[policy]\nquiet_hours = '22:00-22:00'", "policy.quiet_hours"),
        (APP + "[policy]\nquiet_hours = '22:00-27:00'", "policy.quiet_hours"),
        (APP + "[schedule]\nunsafe_speed = 0.5", "schedule.unsafe_speed"),
        (APP + "[schedule]\nunsafe_speed = 'fast'", "schedule.unsafe_speed"),
        ("not toml", "agent.toml"),
        ("#" + "x" * 300_000, "agent.toml"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))

    assert caught.value.key == key


def test_a_root_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, APP)
    (tmp_path / "root.json").write_bytes(b" " * 512_001)

    with pytest.raises(ConfigError):
        load(path)


def test_a_file_beside_an_app_changes_settings_but_never_what_is_trusted(tmp_path: Path) -> None:
    compiled = AppSettings(
        app="notes",
        channel="stable",
        platform="linux-x86_64",
        server="https://updates.example.org",
        root_metadata=b"compiled in",
    )
    settings = Settings(app=compiled, root=tmp_path)
    text = "[app]\nserver = 'https://evil.example'\nroot_metadata = 'root.json'\n"
    path = written(tmp_path, text + "[agent]\napply = 'now'\n")

    changed = with_file(settings, path)

    assert changed.app == compiled
    assert changed.apply is Apply.NOW


def test_without_a_file_the_settings_stay(tmp_path: Path) -> None:
    settings = Settings(
        app=AppSettings(
            app="a", channel="s", platform="l-x", server="https://u", root_metadata=b""
        ),
        root=tmp_path,
    )

    assert with_file(settings, tmp_path / "agent.toml") is settings


def test_a_file_nested_without_end_is_an_error_of_settings(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("a = " + "[" * 100_000)

    with pytest.raises(ConfigError):
        load(tmp_path / "agent.toml")


@pytest.mark.parametrize(
    ("span", "hours"),
    [
        ((time(22), time(7)), {22, 23, 0, 1, 2, 3, 4, 5, 6}),
        ((time(12), time(14)), {12, 13}),
    ],
)
def test_quiet_hours_are_those_of_the_machines_own_clock(
    span: tuple[time, time], hours: set[int]
) -> None:
    quiet = QuietHours(*span)
    noon = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    day = [noon + timedelta(hours=hour) for hour in range(24)]

    ends = {at.astimezone().hour: quiet.end_after(at) for at in day}

    assert {hour for hour, end in ends.items() if end is not None} == hours
    for end in ends.values():
        assert end is None or (end.hour, end.minute) == (span[1].hour, 0)
