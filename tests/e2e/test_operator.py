"""An operator on the pages of a real server: the signer, another process, checks the password."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlencode

import pytest

from tests.e2e.running import APP, Server

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-server")]

PASSWORD = "correct horse battery staple"


class Browser:
    """Opens pages and sends forms, and keeps the cookie."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cookie = ""

    def get(self, path: str) -> tuple[int, str]:
        return self._ask("GET", path, None)

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        return self._ask("POST", path, urlencode(fields))

    def hidden(self, path: str) -> dict[str, str]:
        """Return the hidden fields of a page's form."""
        _, page = self.get(path)
        found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
        return dict(found)

    def _ask(self, method: str, path: str, form: str | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._server.admin, timeout=60)
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://{self._server.admin}"
        connection.request(method, path, form, headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        set_cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        self._cookie = set_cookie or self._cookie
        connection.close()
        return answer.status, body


def test_an_operator_resumes_with_a_password_that_the_signer_checks(server: Server) -> None:
    version = server.new_version()
    server.publish(version)
    rollout = server.start_rollout(version, "--ring", "all")["id"]
    server.serinus("rollout", "pause", version, "--reason", "to look")
    link = server.serinus("operator", "add", "ana", "--role", "operator")["link"]
    browser, path = Browser(server), f"/apps/{APP}/rollouts/{rollout}/resume"

    set_it = browser.post(f"/{link.split('/', 3)[-1]}", password=PASSWORD, again=PASSWORD)
    refused, page = browser.post(path, **browser.hidden(path), reason="ok", password="x" * 12)
    before = server.serinus("rollout", "show", version)["state"]
    done, _ = browser.post(path, **browser.hidden(path), reason="fine", password=PASSWORD)

    assert set_it[0] == 303
    assert (refused, before) == (403, "paused")
    assert "not your password" in page
    assert done == 303
    assert server.serinus("rollout", "show", version)["state"] in {"active", "completed"}
