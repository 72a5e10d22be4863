"""People who are signed in, by real forms: ``ana`` and ``ben`` (operators), ``vera`` (a viewer)
and ``ada`` (an admin of all apps).

    visitors = Visitors(world)
    ana = visitors.ana
    ana.get("/")
    ana.post("/apps/demo/rollouts/ro_1/pause", reason="crashes")
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.admin_world import APP, World
from update_server.service.access.caller import Caller
from update_server.service.access.operators import Operators
from update_server.service.ports import Role
from update_server.web.admin.app import create_app

ORIGIN = "http://localhost"
PASSWORD = "correct horse battery staple"
PEOPLE = {
    "ana": (Role.OPERATOR, APP),
    "ben": (Role.OPERATOR, APP),
    "vera": (Role.VIEWER, APP),
    "ada": (Role.ADMIN, None),
}
_ROOT = Caller(name="test", token_id="")


class Browser:
    """A browser. ``csrf`` is what its forms bear; None: nobody is signed in."""

    def __init__(self, app: Flask) -> None:
        self.client = FlaskClient(app)
        self.csrf: str | None = None

    def get(self, path: str, **more: Any) -> TestResponse:
        """Open a page."""
        return self.client.get(path, **more)

    def post(
        self,
        path: str,
        fields: dict[str, str] | None = None,
        *,
        origin: str | None = ORIGIN,
        csrf: str | None = None,
        headers: dict[str, str] | None = None,
        **more: str,
    ) -> TestResponse:
        """Send a form as a page of ours would: with the session's token, and its origin."""
        form = {"csrf": csrf or self.csrf or "", **(fields or {}), **more}
        sent = {**({} if origin is None else {"Origin": origin}), **(headers or {})}
        return self.client.post(path, data=form, headers=sent)

    def sign_in(self, name: str, password: str = PASSWORD, to: str = "/account") -> TestResponse:
        """Sign in, and note the token of the session's forms."""
        answer = self.post("/sign-in", name=name, password=password, to=to)
        if answer.status_code == 303 and "set-password" not in answer.location:
            self.csrf = csrf_in(self.get("/account"))
        return answer


class Visitors:
    """The admin app of *world*, and people signed in to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = create_app(world.services())
        self._signed_in: dict[str, Browser] = {}

    def browser(self) -> Browser:
        """Return a browser in which nobody is signed in."""
        return Browser(self.app)

    def add(self, name: str, role: Role = Role.OPERATOR, app: str | None = APP, **more: Any) -> str:
        """Take an operator in, who sets their password by their link; return the ID."""
        services = self.world.services()
        operator, link = services.operators.add(_ROOT, name, role, app, **more)
        if link:
            self.browser().post(f"/set-password/{link}", password=PASSWORD, again=PASSWORD)
        return operator.id

    def named(self, name: str) -> Browser:
        """Return the browser in which *name* is signed in: the same one each time."""
        if name not in self._signed_in:
            if name not in {each.name for each in self.operators.all(None)}:
                self.add(name, *PEOPLE[name])
            browser = self.browser()
            browser.sign_in(name)
            self._signed_in[name] = browser
        return self._signed_in[name]

    @property
    def operators(self) -> Operators:
        """What an admin does about operators."""
        return self.world.services().operators

    @property
    def ana(self) -> Browser:
        """An operator of the app."""
        return self.named("ana")

    @property
    def ben(self) -> Browser:
        """Another one."""
        return self.named("ben")

    @property
    def vera(self) -> Browser:
        """A viewer of the app."""
        return self.named("vera")

    @property
    def ada(self) -> Browser:
        """An admin of all apps."""
        return self.named("ada")


def csrf_in(answer: TestResponse) -> str:
    """Return the token in the forms of a page."""
    _, _, rest = answer.get_data(as_text=True).partition('name="csrf" value="')
    return rest.partition('"')[0]
