"""What became of a connection is told without the names of exceptions."""

from __future__ import annotations

import pytest
from urllib3 import exceptions

from update_server.cli.connection import is_loopback, why_failed


def refused(cause: OSError) -> exceptions.NewConnectionError:
    error = exceptions.NewConnectionError(None, "no")  # type: ignore[arg-type]
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused(ConnectionRefusedError()), "does not answer: nothing listens there"),
        (refused(OSError()), "cannot be reached"),
        (exceptions.HTTPError(), "does not answer"),
        (
            exceptions.NameResolutionError("x", None, OSError()),  # type: ignore[arg-type]
            "cannot be reached: there is no host of this name",
        ),
        (exceptions.TimeoutError(), "does not answer in time"),
        (exceptions.ProtocolError(), "broke off the connection"),
        (
            exceptions.SSLError(),
            "cannot be trusted: its TLS certificate or protocol is not accepted",
        ),
        (exceptions.LocationParseError("x"), "is no address of a web server"),
    ],
)
def test_each_failure_has_its_words(error: exceptions.HTTPError, words: str) -> None:
    assert why_failed(error) == words


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:8081", True),
        ("http://localhost:8081", True),
        ("http://[::1]:8081", True),
        ("https://updates.example.org", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_an_address_of_this_machine_is_known(url: str, ours: bool) -> None:
    assert is_loopback(url) is ours
