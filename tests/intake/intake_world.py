"""One process with intake and digest, over fakes: what was sent, and what is counted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO

from flask.testing import FlaskClient

from tests.intake.capture import Request
from tests.public_world import APP, HIGH_BUCKET, LOW_BUCKET, V1, V2, World, a_rollout, a_world
from update_server.service.counting import DISCARDED, QUARANTINED, REJECTED
from update_server.service.crash_ports import UNTOLD
from update_server.service.digest import Digest
from update_server.service.ports import Stores
from update_server.web.public.app import create_app

# Counters that say something about reports; the others count check-ins and kinds.
_TELLING = frozenset({DISCARDED, QUARANTINED, REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is shown of an app. Empty where nothing was reported.

    ``sessions``: by version, arm and status. ``crashes``, ``errors``: reports and installs by
    version, arm and type, which is ``none`` for crashes that sessions tell. ``crashed``: installs
    by version and arm. ``counters``: what was counted without a place, by name and labels.
    """

    sessions: dict[tuple[str, str, str], int] = field(default_factory=dict)
    crashes: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    errors: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    crashed: dict[tuple[str, str], int] = field(default_factory=dict)
    counters: dict[tuple[str, ...], int] = field(default_factory=dict)


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
            sessions: Counter[tuple[str, str, str]] = Counter()
            for count in stores.sessions.hours(APP):
                sessions[count.version, count.cell.arm, count.status] += count.sessions
            return Numbers(
                sessions=dict(+sessions),
                crashes=_reports(stores, handled=False),
                errors=_reports(stores, handled=True),
                crashed={
                    (one.version, one.arm): one.installs for one in stores.crashes.crashed(APP)
                },
                counters={
                    (one.name, *(value for _, value in one.labels)): one.by
                    for one in stores.counters.all(APP)
                    if one.name in _TELLING
                },
            )

    def signatures(self) -> set[str]:
        """Return the signatures of all reports that were digested."""
        with self.world.database.reading() as stores:
            return {one.signature for one in stores.crashes.counts(APP)} - {UNTOLD}


def _reports(stores: Stores, *, handled: bool) -> dict[tuple[str, str, str], tuple[int, int]]:
    counts = [one for one in stores.crashes.counts(APP) if one.handled is handled]
    groups = stores.crashes.groups(APP, [one.signature for one in counts])
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for one in counts:
        title = groups[one.signature].title if one.signature in groups else one.signature
        place = (one.version, one.arm, title.partition(" in ")[0])
        reports, installs = found.get(place, (0, 0))
        found[place] = (reports + one.reports, max(installs, one.installs))
    return found
