"""The demo lets people in by the command and by the page of its link, and opens a browser."""

from __future__ import annotations

import webbrowser

import pytest

from update_server.cli.demo import people
from update_server.cli.demo.people import People

PEOPLE = People(url="http://127.0.0.1:1", password="four words and more")


def test_a_browser_opens_on_the_pages_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    assert people.open_pages(PEOPLE, {"DISPLAY": ":0"})
    assert opened == ["http://127.0.0.1:1/"]


def test_no_browser_takes_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("opened"))
    assert not people.open_pages(PEOPLE, {"TERM": "xterm"})


def test_where_the_pages_are_is_said_with_how_to_get_in() -> None:
    assert PEOPLE.sentence() == (
        "http://127.0.0.1:1/ : sign in as ana or ben, password four words and more"
    )
    assert PEOPLE.document()["operators"] == ["ana", "ben"]
