"""The admin API of this machine's own data, without a server: the same app, called directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from werkzeug.test import Client

from update_server.cli.api import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class LocalTransport:
    """Requests to an admin app in this process."""

    def __init__(self, app: WSGIApplication) -> None:
        self._client = Client(app)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request."""
        response = self._client.open(path, method=method, headers=dict(headers), data=body)
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=names, body=response.get_data())
