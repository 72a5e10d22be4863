"""Numbers of the API's answers, put into a page with where they are from.

A page computes nothing: each of its numbers stands in an element that names the place in the
answer (a JSON pointer, RFC 6901), and so can be held against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from update_server.web.dashboard.words import count


class Numbers:
    """The numbers of one answer, by their pointers. What is not there is not known."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def value(self, pointer: str) -> Any:
        """Return what stands at *pointer*, such as ``/funnel/offered/candidate``; else None."""
        return at(self._body, pointer)

    def shown(self, pointer: str) -> Markup:
        """Return the number at *pointer* as people read it, in an element that names it."""
        return Markup('<span data-number="{}">{}</span>').format(
            pointer, count(self.value(pointer))
        )

    def of(self, pointer: str, whole: str) -> Markup:
        """Return ``27 of 3,900``."""
        return Markup("{} of {}").format(self.shown(pointer), self.shown(whole))


def at(body: Any, pointer: str) -> Any:
    """Return what stands in *body* at *pointer*; None where nothing does."""
    found = body
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, Sequence) and not isinstance(found, str) and name.isdigit():
            found = found[int(name)] if int(name) < len(found) else None
        else:
            return None
    return found
