"""No canary gets through, and what explains an error does."""

from __future__ import annotations

import time

import pytest

from client_agent.reports.scrub import MAX_CHARACTERS, scrubbed

CANARY = "c4n4ry"


@pytest.mark.parametrize(
    "text",
    [
        f"no user {CANARY}@example.org",
        f"GET https://u.example.org/list?key={CANARY}&x=1 failed",
        f"GET https://u.example.org/list#{CANARY}",
        f"https://{CANARY}:pw@u.example.org/",
        f"https://me:{CANARY}@u.example.org/",
        f"open /home/{CANARY}/notes.txt",
        f"open /Users/{CANARY}",
        rf"open C:\Users\{CANARY}\notes.txt",
        f"password={CANARY}",
        f"Password: {CANARY}",
        f"{{'password': '{CANARY} and more'}}",
        f'{{"api_key":"{CANARY}"}}',
        f"db_secret_2 = {CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}",
        f"sent bearer {CANARY}",
        f"token {CANARY}x",
        f"credentials={CANARY};",
        f"private_key: {CANARY}",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"srn_{CANARY}",
        f"Proxy-Authorization: Negotiate {CANARY}",
        f"Invalid header value b'NTLM {CANARY}\\n'",
        f"no proxy at me:{CANARY}@proxy:3128",
        str(FileNotFoundError(2, "No such file", rf"C:\Users\{CANARY}\notes.txt")),
        rf"open C:\Users\Anna {CANARY}\notes.txt",
    ],
)
def test_what_names_a_person_or_a_secret_is_gone(text: str) -> None:
    assert CANARY not in scrubbed(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("10.1.2.3 refused", "<ip> refused"),
        ("fe80::1ff:fe23:4567:890a refused", "<ip> refused"),
        ("card 4111 1111 1111 1111 declined", "card <number> declined"),
        ("customer 123456789", "customer <number>"),
        ("A" * 58, "<token>"),
        ("two\nlines\x00", "two lines"),
        ("list index out of range", "list index out of range"),
        ("cannot open file: errno 13", "cannot open file: errno 13"),
        ("expected version 2.10.3", "expected version 2.10.3"),
        ("the token has expired", "the token has expired"),
        ("std::vector is empty", "std::vector is empty"),
    ],
)
def test_numbers_and_addresses_go_and_words_stay(text: str, left: str) -> None:
    assert scrubbed(text) == left


def test_the_persons_own_folder_is_a_tilde() -> None:
    assert scrubbed("open /srv/anna/x", homes=("/srv/anna", "/")) == "open ~/x"
    error = FileNotFoundError(2, "none", r"D:\anna\x")  # which shows each backslash twice
    assert scrubbed(str(error), homes=(r"D:\anna",)) == r"[Errno 2] none: '~\\x'"


def test_a_message_is_cut_after_it_was_scrubbed() -> None:
    text = "x" * (MAX_CHARACTERS - 9) + " password=" + CANARY

    assert scrubbed(text) == ("x" * (MAX_CHARACTERS - 9) + " password=<secret>")[:MAX_CHARACTERS]


@pytest.mark.parametrize(
    "piece",
    ["a@", "1 ", "://?", "0:", "token=", "-----BEGIN ", "a", "\\users\\", "a:", "a:b@", "\\"],
)
def test_no_message_takes_long(piece: str) -> None:
    started = time.process_time()

    scrubbed(piece * 100_000)

    assert time.process_time() - started < 0.5
