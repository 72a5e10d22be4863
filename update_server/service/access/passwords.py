"""What may be a password. Not here: how it is hashed (``update_server.passwords``)."""

from __future__ import annotations

from typing import Final

from update_server.service.errors import BadValueError
from update_server.service.ports.access import person_called

MIN_CHARACTERS: Final = 12
MAX_BYTES: Final = 1_024

_MIN_DIFFERENT: Final = 5


def check_new_password(password: str, name: str, field: str = "password") -> str:
    """Return *password* if *name* may have it from now on.

    Length is all that is asked for, but for what anybody would try first.

    Raises:
        BadValueError: It is too short, too long, or too easy.
    """
    if len(password) < MIN_CHARACTERS:
        raise BadValueError(field, f"a password has at least {MIN_CHARACTERS} characters")
    if not is_short_enough(password):
        raise BadValueError(field, f"a password has at most {MAX_BYTES} bytes")
    if len(set(password)) < _MIN_DIFFERENT:
        raise BadValueError(field, "the same few characters again and again are guessed at once")
    if person_called(password).replace(person_called(name), "") == "":
        raise BadValueError(field, "the name is guessed at once")
    return password


def is_short_enough(password: str) -> bool:
    """Tell whether *password* can be one: nothing longer is ever hashed."""
    return len(password.encode(errors="surrogatepass")) <= MAX_BYTES
