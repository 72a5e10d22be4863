"""Texts that leave an envelope."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.crashes.scrub import MAX_MESSAGE, plain_name, scrubbed

TOKEN = "AEBQ" + "5ZXY" * 13 + "72"
assert len(TOKEN) == 58

SECRETS = {
    "e-mail": ("mail to ada.l@mail.example.org, now", "mail to <email>, now"),
    "e-mail in a URL": ("to=ada%40example.org", "to=<email>"),
    "e-mail at a machine": ("ada@notebook said", "<email> said"),
    "home": ("open /home/ada/notes.txt: no", "open <path>: no"),
    "home on a Mac": ("open /Users/ada/notes.txt", "open <path>"),
    "home on Windows": (r"open C:\Users\Ada Lovelace\My Notes\a.txt", "open <path>"),
    "home as Python shows it": (r"open 'C:\\Users\\Ada Lovelace\\a.txt'", "open '<path>'"),
    "home in a URL": ("file:///home/ada/a.txt", "file:<path>"),
    "a share": (r"open \\fileserver\ada\a.txt", "open <path>"),
    "a path in quotes": ("No such file: '/data/Ada L/a b.txt'", "No such file: '<path>'"),
    "a quoted path that is cut": ("No such file: '/data/Ada L", "No such file: '<path>"),
    "another path": ("read /srv/ada/x and ~/y", "read <path> and <path>"),
    "an address": ("connect to 10.20.30.40.", "connect to <ip>."),
    "an address and port": ("connect 10.20.30.40:443", "connect <ip>:443"),
    "a newer address": ("connect [fe80::12:ab]:1", "connect [<ip>]:1"),
    "userinfo": ("GET https://ada:pw@example.org/a", "GET https://<user>@example.org/a"),
    "query": ("GET https://example.org/a?k=v#f failed", "GET https://example.org/a?<query> failed"),
    "both": ("db://ada@h/a?k=v", "db://<user>@h/a?<query>"),
    "a proxy": ("proxy ada:hunter2@proxy:80", "proxy <user>@proxy:80"),
    "our token": (f"key {TOKEN} is old", "key <token> is old"),
    "our token in lower case": (f"key_{TOKEN.lower()}", "key_<token>"),
    "an operator's token": ("used srn_abcdefgh", "used <token>"),
    "a signed token": ("got eyJhbGciOiJ9.eyJzdWIiOiJ9.c2ln", "got <token>"),
    "something random": ("got AKIA4x7Fq9LmZ2vT8sWn0PbYd3RkJc6Hg", "got <token>"),
    "something in base 64": ("x qK9/z+4Tb7LmZ2vT8sWn0PbYd3RkJc6HgUx1eA5Vw==", "x <token>"),
    "an install's ID": ("of 9ec79c33-ec99-42ab-8353-589fcb2e04dc", "of <uuid>"),
    "an app's key": ("of 9ec79c33ec9942ab8353589fcb2e04dc", "of <token>"),
    "long digits": ("order 12345678", "order <number>"),
    "an address in memory": ("at 0x7ffd12345678", "at <hex>"),
    "a hash": ("commit 4f3a2b1c9", "commit <hex>"),
    "a card": ("paid by 4111 1111 1111 1111", "paid by <number>"),
    "a card with dashes": ("paid by 4111-1111-1111-1111", "paid by <number>"),
    "a key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKC", "<key>"),
    "password": ("password=hunter2", "password=<secret>"),
    "a variable": ("DB_PASSWORD: hunter2", "DB_PASSWORD: <secret>"),
    "secret": ("client-secret => hunter2", "client-secret => <secret>"),
    "token": ("token='hunt er' x", "token=<secret> x"),
    "auth": ('X-Auth: "hunter2"', "X-Auth: <secret>"),
    "authorization": ("Authorization: Basic aHVudGVyMg==", "Authorization: <secret>"),
    "api_key": ("api_key=hunter2,more", "api_key=<secret>"),
    "API key": ("API key: hunter2", "API key: <secret>"),
    "apiKey": ("apiKey%3Dhunter", "apiKey%3D<secret>"),
    "bearer": ("Bearer hunter2", "Bearer <secret>"),
    "credentials": ("credentials = hunter2", "credentials = <secret>"),
    "private_key": ("private_key: hunter2", "private_key: <secret>"),
    "JSON": ('{"password": "hunt\\"er", "x": 1}', '{"password": <secret>, "x": 1}'),
    "JSON in JSON": (r"{\"password\":\"hunter\",\"x\":1}", r"{\"password\":<secret>,\"x\":1}"),
    "said in a sentence": ("the password is hunter2", "the password is <secret>"),
    "said in quotes": ('wrong password "hunter"', "wrong password <secret>"),
}
PLAIN = [
    "42 apples",
    "invalid token provided",
    "Unexpected token } in JSON at position 12",
    "'NoneType' object has no attribute 'load'",
    "list index out of range",
    "and/or, n/a, 3/4 of 1.5 and 2.0.1",
    "std::bad_alloc",
    "no such column: notes.title",
    "undefined symbol memcpy@GLIBC_2.14",
]


@pytest.mark.parametrize(("text", "kept"), SECRETS.values(), ids=SECRETS)
def test_a_message_keeps_no_secret(text: str, kept: str) -> None:
    assert scrubbed(text) == kept


@pytest.mark.parametrize("text", PLAIN)
def test_what_names_nobody_stays(text: str) -> None:
    assert scrubbed(text) == text


def test_a_message_is_cut_and_on_one_line() -> None:
    assert scrubbed(" a\r\n\tb\x00c\u2028d ") == "a b c d"
    assert len(scrubbed("word " * 200)) <= MAX_MESSAGE
    assert scrubbed("word " * 200, 9) == "word word"


@pytest.mark.parametrize("secret", ["4111 1111 1111 1111", "pwd hunter2", TOKEN, "ada@x.org"])
@pytest.mark.parametrize("before", range(440, 520, 7))
def test_what_is_cut_in_the_middle_is_not_shown(secret: str, before: int) -> None:
    # All before it is one path, which leaves a word: what comes next is well within the limit.
    text = "/" + "a" * before + " " + secret + " and more" * 20

    kept = scrubbed(text)

    assert not any(part in kept for part in (secret[:8], secret[-8:]))


@given(st.text(max_size=600))
def test_any_message_can_be_kept(text: str) -> None:
    kept = scrubbed(text)

    assert len(kept) <= MAX_MESSAGE
    assert kept.encode("utf-8").decode() == kept


@given(st.sampled_from(sorted(SECRETS)), st.sampled_from(sorted(SECRETS)))
def test_one_secret_does_not_hide_another(first: str, second: str) -> None:
    text = f"{SECRETS[first][0]} ; {SECRETS[second][0]}"

    kept = scrubbed(text)

    for canary in ("hunter", "Lovelace", "ada", "4111", TOKEN, "Z2vT8s", "12345678", "589fcb2e"):
        assert canary not in kept


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "notes.store",
        "Store.load.<locals>.<lambda>",
        "auth::token::refresh(int)",
        "std::map<std::string, auth>::operator=(std::map<> const&)",
        "operator==",
        "bool auth::operator ==(token)",
        "-[Session setToken:auth:]",
        "_ZN5notes4main17h0123456789abcdefE",
        "?token@@YAXXZ",
        "memcpy@GLIBC_2.2.5",
        "Timeout.boom [as _onTimeout]",
        "github.com/ada/notes/store.(*Store).Load.func1.2",
        "App\\Http\\Kernel::handle",
        "com.acme.notes.Token$Companion",
        "Foo::~Foo",
        "operator/=",
        "<T as core::ops::Drop>::drop",
        "node:internal/timers",
    ],
)
def test_a_name_stays_as_it_is(name: str) -> None:
    assert plain_name(name) == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ada@example.org", "<email>"),
        (f"load_{TOKEN}", "load_<token>"),
        ("load(password='hunter2')", "load(password=<secret>)"),
        ("login: token: hunter2", "login: token: <secret>"),
        ('{"token":"hunter2"}', '{"token":<secret>}'),
        ("Bearer hunter2", "<secret>"),
        ("https://ada:hunter2@example.org/x?y", "<url>"),
        ("{closure:/var/www/ada/app.php:12}", "{closure:<path>:12}"),
        ("9ec79c33-ec99-42ab-8353-589fcb2e04dc", "<uuid>"),
        ("at 10.20.30.40", "at <ip>"),
        ("pay 4111111111111111", "pay <number>"),
        ("two\nlines\x00", "twolines"),
    ],
)
def test_a_name_that_is_none_keeps_no_secret(name: str, kept: str) -> None:
    assert plain_name(name) == kept


def test_a_name_is_cut() -> None:
    assert plain_name("x" * 1_000) == "x" * 256
    assert plain_name("xyz", 2) == "xy"


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "text",
    [
        *("a", "0", "<", "a@", "1.", "/a", "a:", "://", "a-", "=>", "%40", "0:", "1 ", "\\", "/"),
        *("password", "password ", "token is ", "/home/", "/home/a ", "c:\\", "c:/a ", "'/", '"\\'),
        *("eyj", "a.", "-----BEGIN ", "is ", "'", '\\"', "auth=", "bearer a", "srn_"),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    scrubbed(text * 20_000)
    plain_name(text * 20_000)

    assert time.process_time() - began < 0.1
