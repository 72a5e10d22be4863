"""Trade an enrolment code for a credential, bound to one install in one group."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.model import InstallId
from update_server.service.agents.pseudonyms import hash_of_secret, install_key
from update_server.service.agents.table import Tables
from update_server.service.errors import BadCodeError
from update_server.service.ports import Clock, Database, Enrolment, Ids, NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What the install keeps. The credential is told this once and stored as a hash."""

    group: str
    credential: str


class Enrol:
    """The enrolment use-case. It writes, so unlike a check-in it needs the database."""

    def __init__(self, database: Database, tables: Tables, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._tables = tables
        self._clock = clock
        self._ids = ids

    def enrol(self, app: str, install_id: InstallId, code: str) -> Enrolled:
        """Use *code* once and make this install a member of its group.

        Check-ins know the credential as soon as the app's table was refreshed.

        Raises:
            NotReadyError, UnknownAppError: As named.
            BadCodeError: The code is not good (any more).
        """
        self._tables.of(app)
        now = self._clock.now()
        key = install_key(self._tables.secrets.pepper, app, install_id)
        credential = self._ids.secret("enr_")
        wanted = hash_of_secret(code)
        with self._database.reading() as stores:
            # Anybody may ask. Writers take turns, and a wrong code must not cost one.
            if not any(known.sha256 == wanted for known in stores.access.codes(app)):
                raise BadCodeError
        with self._database.transaction() as stores:
            try:
                used = stores.access.use_code(app, wanted, now)
            except NotFoundError as error:
                raise BadCodeError from error
            stores.access.add_enrolment(
                Enrolment(
                    app=app,
                    group=used.group,
                    install_key=key,
                    sha256=hash_of_secret(credential),
                    created_at=now,
                )
            )
            stores.audit.append(
                at=now,
                actor="install",
                action="enrolment.use",
                app=app,
                subject=used.group,
                after={"group": used.group, "code": used.id},
            )
            stores.apps.bump(app)
        return Enrolled(group=used.group, credential=credential)
