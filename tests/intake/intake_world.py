"""One process with intake and digest, over fakes: what was sent, and what is counted of it."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from flask.testing import FlaskClient

from tests.intake.capture import Request
from tests.intake.numbers import Numbers, numbers_in, signatures_in
from tests.public_world import APP, HIGH_BUCKET, LOW_BUCKET, V1, V2, World, a_rollout, a_world
from update_server.service.telemetry.digest import Digest
from update_server.web.public.app import create_app


class IntakeWorld:
    """A server that knows a candidate on 2.1.0 and a control on 2.0.0, by their tokens.

    ``first_start``: what the candidate had from being offered 2.1.0 until it checked in as that.
    """

    def __init__(self) -> None:
        self.world: World = a_world()
        self.world.put_db_rollout(a_rollout())
        self.client: FlaskClient = create_app(self.world.services).test_client()
        self.digest = Digest(self.world.database, self.world.spools)
        self.first_start = self.world.check_in(LOW_BUCKET, version=V1).token
        self.candidate = self.world.check_in(LOW_BUCKET, version=V2).token
        self.control = self.world.check_in(HIGH_BUCKET, version=V1).token
        self.digest.run()

    def send(self, request: Request) -> int:
        """Send *request* as its SDK did; return the status."""
        length = {} if request.is_chunked else {"content_length": len(request.body)}
        response = self.client.post(
            request.path,
            headers=dict(request.headers),
            input_stream=BytesIO(request.body),
            environ_overrides={"wsgi.input_terminated": True},  # as our web server says
            **length,
        )
        return response.status_code

    def send_all(self, requests: Iterable[Request]) -> None:
        for request in requests:
            assert self.send(request) == 200

    def numbers(self) -> Numbers:
        """Digest what is in the spool, and return what is counted."""
        self.digest.run()
        with self.world.database.reading() as stores:
            return numbers_in(stores, APP)

    def signatures(self) -> set[str]:
        """Return the signatures of all reports that were digested."""
        with self.world.database.reading() as stores:
            return signatures_in(stores, APP)
