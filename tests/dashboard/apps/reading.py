"""Pages as tests read them: numbers with where they are from, text, and what markup there is."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from werkzeug.wrappers import Response

from update_server.web.dashboard.numbers import at
from update_server.web.dashboard.words import count

_EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"}


class Page(HTMLParser):
    """A page: its ``text``, its ``numbers`` by their pointers, and its ``tags``."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.source = answer.get_data(as_text=True)
        self.text = ""
        self.numbers: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[dict[str, str | None]] = []
        self.feed(self.source)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append(dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        pointer = self._open[-1].get("data-number") if self._open else None
        if pointer is not None:
            self.numbers[pointer] = data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return [str(each.get("href")) for each in self.named("a")]

    @property
    def attributes(self) -> set[str]:
        """The names of all attributes that any element has."""
        return {name for _, attributes in self.tags for name in attributes}


def differing(page: Page, body: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return the numbers of *page* that are not those of the API's answer."""
    return {
        pointer: (shown, at(body, pointer))
        for pointer, shown in page.numbers.items()
        if shown != count(at(body, pointer))
    }
