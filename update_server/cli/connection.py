"""What became of a connection, in words for people."""

from __future__ import annotations

from urllib.parse import urlsplit

from urllib3 import exceptions

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def why_failed(error: exceptions.HTTPError) -> str:
    """Return what went wrong, to be said after the address it was asked at."""
    match error:
        case exceptions.NameResolutionError():
            return "cannot be reached: there is no host of this name"
        case exceptions.NewConnectionError() if was_refused(error):
            return "does not answer: nothing listens there"
        case exceptions.NewConnectionError():  # by its type, it would pass for a time-out
            return "cannot be reached"
        case exceptions.TimeoutError():
            return "does not answer in time"
        case exceptions.ProtocolError():
            return "broke off the connection"
        case exceptions.SSLError():
            return "cannot be trusted: its TLS certificate or protocol is not accepted"
        case exceptions.LocationValueError():
            return "is no address of a web server"
    return "does not answer"


def was_refused(error: exceptions.HTTPError) -> bool:
    """Whether the machine answered, and nothing listens there."""
    return isinstance(error.__cause__, ConnectionRefusedError)


def is_loopback(url: str) -> bool:
    """Whether *url* names this machine."""
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:
        return False
