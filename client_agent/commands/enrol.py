"""Trade an enrolment code for the credential of a group."""

from __future__ import annotations

import json

from client_agent.contact.identity import Enrolment, Identity, parse_enrolment
from client_agent.errors import Code, NetworkError, PolicyError
from client_agent.network.transport import status_error
from client_agent.running.parts import Parts
from rollout.errors import RolloutError

_OK = 200
_REFUSED = frozenset({400, 403, 404, 410, 422})


def enrol(parts: Parts, identity: Identity, code: str) -> str:
    """Make this install a member of the group that *code* is for; return the group's name.

    Raises:
        PolicyError: ``bad_code``: unknown, used up or expired.
        NetworkError, TrustError: The server cannot be asked now.
        DiskError: The credential could not be stored.
    """
    transport = parts.transport()
    try:
        body = {"install_id": identity.install_id, "code": code}
        answer = transport.post(f"{parts.settings.app.base}/enrol", body)
    finally:
        transport.close()
    if answer.status in _REFUSED:
        raise PolicyError(Code.BAD_CODE, "the server does not take this code")
    if answer.status != _OK:
        raise status_error(answer)
    enrolment = _enrolment(answer.body)
    parts.identities.enrol(identity, enrolment)
    return enrolment.group


def _enrolment(body: bytes) -> Enrolment:
    try:
        return parse_enrolment(json.loads(body))
    except (ValueError, RecursionError, RolloutError) as error:
        raise NetworkError(Code.UNEXPECTED_ANSWER, "enrol") from error
