"""Pages as people and browsers see them: their text, their forms, and what they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from werkzeug.test import TestResponse

VOID = frozenset({"meta", "link", "input", "br", "hr", "img", "path", "rect", "circle"})


@dataclass
class Element:
    """An element with what stands in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child._texts()

    def all(self, tag: str | None = None, **attributes: str) -> list[Element]:
        """Return the elements in it that have these attributes (``data_number``: data-number)."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [
            each
            for each in self._elements()
            if tag in {None, each.tag}
            and all(each.attributes.get(name) == value for name, value in wanted.items())
        ]

    def one(self, tag: str | None = None, **attributes: str) -> Element:
        """Return the only one."""
        [found] = self.all(tag, **attributes)
        return found

    def with_attribute(self, name: str) -> list[Element]:
        """Return the elements in it that have an attribute, whatever it says."""
        return [each for each in self._elements() if name in each.attributes]

    def _elements(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child._elements()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {n: v or "" for n, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(answer: TestResponse) -> Element:
    """Return a page as elements. It must be well-formed, and not set styles or scripts itself."""
    parser = _Parser()
    parser.feed(answer.get_data(as_text=True))
    [document] = parser.open
    assert not document.with_attribute("style")
    assert all(each.attributes.get("src") for each in document.all("script"))
    assert not [
        name for each in document._elements() for name in each.attributes if name.startswith("on")
    ]
    return document


def main_of(answer: TestResponse) -> Element:
    """Return what is the page's own."""
    return parsed(answer).one("main")


def fields_of(answer: TestResponse, action: str) -> dict[str, str]:
    """Return what the first form that is sent to *action* bears as it is shown, but its token."""
    form = parsed(answer).all("form", action=action)[0]
    written = {each.attributes["name"]: each.text for each in form.all("textarea") if each.text}
    return written | {
        each.attributes["name"]: each.attributes["value"]
        for each in form.all("input", type="hidden")
        if each.attributes["name"] != "csrf"
    }
