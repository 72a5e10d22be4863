"""Each page and form that there is, also those of tomorrow: who is not let in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.admin_world import World
from tests.dashboard.visitors import ORIGIN, Visitors
from update_server.service.ports import Role
from update_server.web.dashboard import door

OTHER = "other"

# They open without a session.
_OPEN = frozenset({"/sign-in", "/sign-in/oidc", "/sign-in/oidc/back"})
_VIEWERS_FORMS = frozenset(
    {f"/apps/{OTHER}/explain", "/sign-out", "/account/password", "/account/sessions"}
)


def pages_of(app: Flask, method: str) -> Iterator[str]:
    """Yield the address of every page, or form, that asks who is there."""
    for rule in app.url_map.iter_rules():
        is_page = rule.endpoint.startswith("dashboard.") and method in (rule.methods or ())
        path = "/".join(
            part if "<" not in part else OTHER if "app" in part else "pull" if "any(" in part
            else "x1" for part in rule.rule.split("/")
        )  # fmt: skip
        if is_page and path not in _OPEN and not path.startswith(("/static", "/set-password")):
            yield path
            if method == "POST" and path.endswith("/pull"):
                yield f"{path.removesuffix('pull')}pause"


@pytest.fixture
def visitors(registered: World, tmp_path: Path) -> Visitors:
    world = registered.fork(tmp_path / "signer")
    world.services().apps.add(
        world.caller(Role.ADMIN, None), OTHER, channels=("stable",), platforms=("linux-x86_64",)
    )
    visitors = Visitors(world)
    visitors.add("root", Role.ADMIN, None)
    visitors.add("amy", Role.ADMIN, "demo")
    return visitors


def test_there_are_pages_to_ask(visitors: Visitors) -> None:
    assert len(list(pages_of(visitors.app, "GET"))) >= 15
    assert len(list(pages_of(visitors.app, "POST"))) >= 12


def test_nobody_gets_in_without_a_session(visitors: Visitors) -> None:
    stranger = visitors.browser()

    for path in pages_of(visitors.app, "GET"):
        assert stranger.get(path).location.startswith("/sign-in"), path
        assert "You are signed out" in stranger.get(f"{path}?live=1").text, path
    for path in pages_of(visitors.app, "POST"):
        assert stranger.post(path).location == "/sign-in", path


@pytest.mark.parametrize("who", ["amy", "root"])
def test_of_another_app_nothing_is_told_or_done(visitors: Visitors, who: str) -> None:
    browser = visitors.named(who)
    answers = {
        path: browser.get(path)
        for each in pages_of(visitors.app, "GET")
        for path in (each, f"{each}?live=1", f"/audit?app={OTHER}", f"/audit.jsonl?app={OTHER}")
        if OTHER in path
    }
    answers |= {
        f"POST {path}": browser.post(path)
        for path in pages_of(visitors.app, "POST")
        if OTHER in path
    }

    # The control: an admin of all apps is let in, to what is there and to what is not.
    wanted = {True} if who == "amy" else {False}
    for path, answer in answers.items():
        refused = answer.status_code == 403 or (answer.status_code == 204 and "live" in path)
        assert {refused} == wanted or (who == "root" and "live" in path), (path, answer.status_code)


def test_a_viewer_sends_no_form(visitors: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    vera = visitors.named("vera")
    paths = [
        path.replace(f"/{OTHER}", "/demo")
        for path in pages_of(visitors.app, "POST")
        if path not in _VIEWERS_FORMS
    ]

    for path in paths:
        assert vera.post(path).status_code == 403, path
    monkeypatch.setattr(door, "allows", lambda *_: True)
    for path in paths:  # the control: it was the role
        assert vera.post(path).status_code != 403 or "/operators" in path, path


def test_every_form_needs_its_token_and_its_origin(visitors: Visitors) -> None:
    root = visitors.named("root")

    for path in pages_of(visitors.app, "POST"):
        for answer in (
            root.client.post(path, data={"csrf": "x"}, headers={"Origin": ORIGIN}),
            root.post(path, origin="https://evil.example"),
            root.post(path, origin=None),
        ):
            assert (answer.status_code, "foreign_form" in answer.text) == (403, True), path
    assert root.get("/account").status_code == 200  # nor was anybody signed out by it
