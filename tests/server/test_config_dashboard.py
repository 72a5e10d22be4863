"""The ``[dashboard]`` table of serinus.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from update_server import config as configs
from update_server.config import ConfigError
from update_server.config_dashboard import Dashboard, Oidc

OIDC = """
[dashboard]
url = "https://serinus.example.org"
[dashboard.oidc]
issuer = "https://id.example.org/realm"
client_id = "serinus"
client_secret_file = "oidc.secret"
"""


def load(folder: Path, text: str) -> Dashboard:
    (folder / "serinus.toml").write_text(text, encoding="utf-8")
    return configs.load(folder).dashboard


def test_nothing_needs_to_be_said(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Dashboard(url="", oidc=None)


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ("https://Serinus.example.org/", "https://serinus.example.org"),
        ("http://localhost:8081", "http://localhost:8081"),
    ],
)
def test_the_address_is_an_origin(tmp_path: Path, told: str, url: str) -> None:
    assert load(tmp_path, f'[dashboard]\nurl = "{told}"').url == url


def test_a_provider_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, OIDC).oidc == Oidc(
        issuer="https://id.example.org/realm",
        client_id="serinus",
        client_secret_file=tmp_path / "oidc.secret",
        claim="email",
        name="single sign-on",
    )
    assert load(tmp_path, f'{OIDC}claim = "sub"\nname = "ID"').oidc == Oidc(
        issuer="https://id.example.org/realm",
        client_id="serinus",
        client_secret_file=tmp_path / "oidc.secret",
        claim="sub",
        name="ID",
    )


@pytest.mark.parametrize(
    "url",
    [
        '"serinus.example.org"',
        '"ftp://serinus.example.org"',
        '"https://"',
        '"https://serinus.example.org/pages"',
        '"https://serinus.example.org/?x"',
        '"https://a:b@serinus.example.org"',
        '"https://serinus.example.org:x"',
        "7",
    ],
)
def test_some_addresses_would_not_do(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"serinus\.toml: \[dashboard\] url must be an address"):
        load(tmp_path, f"[dashboard]\nurl = {url}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dashboard = 7", r"\[dashboard\] must be a table"),
        ("[dashboard]\ncolour = 'red'", "has no setting 'colour'"),
        (OIDC.replace("url =", "# "), "url must be there as well"),
        (OIDC.replace("client_id =", "# "), r"oidc\.client_id is missing"),
        (OIDC.replace('"serinus"', "7"), r"oidc\.client_id must be text"),
        (OIDC.replace('"serinus"', '""'), r"oidc\.client_id must be text"),
        (OIDC + 'claim = "name"', r"oidc\.claim must be email or sub"),
        (OIDC + 'roles = "x"', r"\[dashboard\.oidc\] has no setting 'roles'"),
        (OIDC.replace("https://id", "http://id"), r"oidc\.issuer must be the https address"),
        (OIDC.replace("https://id.example.org/realm", "id"), r"oidc\.issuer must be the https"),
        ('[dashboard]\nurl = "https://a.b"\noidc = 7', r"\[dashboard\.oidc\] must be a table"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, text)


def test_a_provider_on_this_machine_needs_no_tls(tmp_path: Path) -> None:
    oidc = load(tmp_path, OIDC.replace("https://id.example.org", "http://127.0.0.1:9000")).oidc

    assert oidc is not None
    assert oidc.issuer == "http://127.0.0.1:9000/realm"
