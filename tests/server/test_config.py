"""Every setting that is wrong names itself, its file, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from update_server import config as configs
from update_server.config import ConfigError


def settings(folder: Path, text: str) -> Path:
    file = folder / "serinus.toml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return file


def test_without_settings_there_are_defaults(tmp_path: Path) -> None:
    config = configs.load(settings(tmp_path, ""))

    assert config.data == tmp_path / "server"
    assert config.database == f"sqlite:///{tmp_path}/server/serinus.db"
    assert (config.public_address, config.admin_address) == (
        ("127.0.0.1", 8080),
        ("127.0.0.1", 8081),
    )
    assert config.signer_socket == tmp_path / "server" / "signer.sock"
    assert config.lease_seconds == 2
    assert config.workers == 2
    assert config.next_check_in_seconds == 14_400


def test_everything_can_be_set(tmp_path: Path) -> None:
    config = configs.load(
        settings(
            tmp_path,
            """
            [server]
            data = "/srv/x"
            database = "postgresql://serinus@db/serinus"
            public = "[::1]:80"
            admin = "localhost:8081"
            workers = 8
            lease_seconds = 5
            next_check_in_seconds = 60
            file_offload = "x-sendfile"
            trusted_proxies = ["192.0.2.1", "2001:db8::/32"]
            [publisher]
            app = "not ours to judge"
            """,
        )
    )

    assert config.data == Path("/srv/x")
    assert config.database == "postgresql://serinus@db/serinus"
    assert config.public_address == ("::1", 80)
    assert (config.workers, config.lease_seconds, config.next_check_in_seconds) == (8, 5, 60)
    assert config.file_offload == "x-sendfile"
    assert config.trusted_proxies == ("192.0.2.1", "2001:db8::/32")


def test_the_folder_stands_for_its_file(tmp_path: Path) -> None:
    file = settings(tmp_path, "[server]\nworkers = 3")

    assert configs.load(tmp_path) == configs.load(file)


@pytest.mark.parametrize(
    ("line", "named", "allowed"),
    [
        ("wrokers = 2", "'wrokers'", "workers"),
        ('workers = "2"', "workers", "a whole number"),
        ("workers = true", "workers", "a whole number"),
        ("workers = 0", "workers", "1 to 64"),
        ("workers = 65", "workers", "1 to 64"),
        ("lease_seconds = 0", "lease_seconds", "1 to 60"),
        ("lease_seconds = 2.0", "lease_seconds", "a whole number"),
        ("next_check_in_seconds = 86401", "next_check_in_seconds", "1 to 86400"),
        ("data = 1", "data", "text in quotes"),
        ('trusted_proxies = "127.0.0.1"', "trusted_proxies", "a list of addresses"),
        ("trusted_proxies = [1]", "trusted_proxies", "a list of addresses"),
        ('trusted_proxies = ["localhost"]', "trusted_proxies", "a list of addresses"),
        ('database = "mysql://root:secret@x/y"', "database", "sqlite:///PATH"),
        ('database = "sqlite://"', "database", "sqlite:///PATH"),
        ('public = "8080"', "public", "HOST:PORT"),
        ('public = ":8080"', "public", "HOST:PORT"),
        ('public = "x:0"', "public", "HOST:PORT"),
        ('admin = "x:65536"', "admin", "HOST:PORT"),
        ('admin = "x:http"', "admin", "HOST:PORT"),
        ('admin = "127.0.0.1:8080"', "admin", "the same address"),
        ('file_offload = "nginx"', "file_offload", "x-accel-redirect or x-sendfile"),
        ('data = "' + "x" * 110 + '"', "data", "a shorter path"),
    ],
)
def test_a_setting_that_is_wrong_names_itself(
    tmp_path: Path, line: str, named: str, allowed: str
) -> None:
    file = settings(tmp_path, f"[server]\n{line}")

    with pytest.raises(ConfigError) as refused:
        configs.load(file)

    text = str(refused.value)
    assert text.startswith(f"{file}: [server] ")
    assert named in text
    assert allowed in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("text", "told"),
    [("server = 1", "[server] must be a table"), ("[server", "is not valid TOML"),
     ("\udcff", "is not valid TOML")],
)  # fmt: skip
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = settings(tmp_path, text)

    with pytest.raises(ConfigError, match=r"serinus\.toml") as refused:
        configs.load(file)

    assert told in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make a workspace with `serinus init`"):
        configs.load(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be read"):
        configs.load(Path("/dev/null/x"))


def test_the_tee_is_read_from_a_table_of_its_own(tmp_path: Path) -> None:
    good = settings(tmp_path, '[telemetry]\ntee = "https://abc@sentry.example.org/7"')
    assert configs.load(good).tee["*"].url == "https://sentry.example.org/api/7/envelope/"

    bad = settings(tmp_path, '[telemetry]\ntee = "https://sentry.example.org/7"')
    with pytest.raises(ConfigError, match=r"serinus\.toml: \[telemetry\] tee must be a DSN"):
        configs.load(bad)
    with pytest.raises(ConfigError, match="has no setting 'tee'"):
        configs.load(settings(tmp_path, '[server]\ntee = "x"'))
