from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from rollout.model import RolloutId
from update_server.service.agents.tokens import (
    Bearer,
    InstallToken,
    TokenKeys,
    check,
    issue,
    read,
    rollout_number,
)
from update_server.service.errors import BadTokenError, ExpiredTokenError

NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
KEYS = TokenKeys.of(b"first key", b"second key")
INSTALL_KEY = bytes(range(32))
TOKEN = InstallToken(running=7, assigned=8, rollout=9)


def a_token(
    keys: TokenKeys = KEYS,
    app: str = "demo",
    install_key: bytes = INSTALL_KEY,
    token: InstallToken = TOKEN,
    now: datetime = NOW,
) -> str:
    return issue(keys, app=app, install_key=install_key, token=token, now=now)


def checked(text: str, keys: TokenKeys = KEYS, now: datetime = NOW) -> InstallToken:
    return check(keys, text, app="demo", install_key=INSTALL_KEY, now=now)


def test_a_token_says_what_was_put_into_it() -> None:
    assert checked(a_token()) == TOKEN


def test_a_token_is_58_characters_that_survive_any_url_and_any_sdk() -> None:
    text = a_token()

    assert len(text) == 58
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def test_the_fields_lie_where_the_table_says() -> None:
    raw = base64.b32decode(a_token() + "======")

    assert raw[0:2] == bytes([1, 2])
    assert raw[2:10] == INSTALL_KEY[:8]
    assert [int.from_bytes(raw[at : at + 4]) for at in (10, 14, 18)] == [7, 8, 9]
    assert int.from_bytes(raw[22:26]) % 30 == 0
    assert len(raw[26:]) == 10


def test_case_does_not_matter() -> None:
    assert checked(a_token().lower()) == TOKEN


def test_a_token_is_the_same_until_the_next_step_of_the_grid() -> None:
    tokens = {a_token(now=NOW + timedelta(days=day)) for day in range(60)}

    assert len(tokens) == 3  # 60 days touch three steps of 30


@pytest.mark.parametrize("hour", [0, 3, 23])
def test_a_token_lives_90_days_and_not_over_121(hour: int) -> None:
    for day in range(30):
        now = datetime(2026, 11, 1, hour, tzinfo=UTC) + timedelta(days=day)
        text = a_token(now=now)

        assert checked(text, now=now + timedelta(days=90)) == TOKEN
        with pytest.raises(ExpiredTokenError):
            checked(text, now=now + timedelta(days=121))


def test_an_older_key_still_verifies_and_an_unknown_one_does_not() -> None:
    text = a_token(TokenKeys.of(b"first key"))

    assert checked(text) == TOKEN
    with pytest.raises(BadTokenError):
        checked(a_token(), keys=TokenKeys.of(b"first key"))


def test_another_apps_token_is_foreign() -> None:
    with pytest.raises(BadTokenError):
        checked(a_token(app="other"))


def test_another_installs_token_is_foreign() -> None:
    with pytest.raises(BadTokenError):
        checked(a_token(install_key=bytes(32)))


def test_a_token_signed_with_another_key_is_refused() -> None:
    with pytest.raises(BadTokenError):
        checked(a_token(TokenKeys.of(b"first key", b"stolen key")))


def test_a_token_of_another_format_is_refused() -> None:
    raw = bytearray(base64.b32decode(a_token() + "======"))
    raw[0] = 2

    with pytest.raises(BadTokenError):
        checked(base64.b32encode(raw).decode().rstrip("="))


def test_every_flipped_bit_is_noticed() -> None:
    raw = base64.b32decode(a_token() + "======")

    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadTokenError):
            checked(base64.b32encode(flipped).decode().rstrip("="))


@pytest.mark.parametrize(
    "text", ["", "A" * 57, "A" * 59, "=" * 58, "0" * 58, "ß" * 58, "A" * 57 + "\n"]
)
def test_what_is_no_token_at_all_is_refused(text: str) -> None:
    with pytest.raises(BadTokenError):
        checked(text)


def test_no_rollout_is_number_zero_and_every_rollout_has_another() -> None:
    numbers = {rollout_number(RolloutId(f"ro_{n:04}")) for n in range(1_000)}

    assert rollout_number(None) == 0
    assert len(numbers) == 1_000
    assert 0 not in numbers


class TestWhoseItIs:
    """A crash report brings a token, and no install ID to check it with."""

    def test_a_token_alone_says_the_install_by_a_tag(self) -> None:
        bearer = read(KEYS, a_token().lower(), app="demo", now=NOW)

        assert bearer == Bearer(tag=INSTALL_KEY[:8], token=TOKEN, is_expired=False)

    def test_an_expired_one_says_so(self) -> None:
        late = NOW + timedelta(days=121)

        assert read(KEYS, a_token(), app="demo", now=late).is_expired

    def test_that_of_another_app_or_server_says_nothing(self) -> None:
        with pytest.raises(BadTokenError):
            read(KEYS, a_token(app="other"), app="demo", now=NOW)
        with pytest.raises(BadTokenError):
            read(TokenKeys.of(b"x", b"y"), a_token(), app="demo", now=NOW)
