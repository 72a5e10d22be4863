"""Taking in what a publisher signed, and the bytes that go with it.

A submission enters only when it is signed as the app's root wants it, builds upon the
newest state, stays in its roles' paths, changes no release, and every file that it names is
in place. Bytes come first: they are uploaded by their digest, and placed under their signed
names once the submission was checked.

Not here: signing snapshot and timestamp (the signer does, and checks everything again by
itself), and bringing rollouts into force (``service.repository.reconcile``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollout.documents import check_against_policy, parse_rollout
from rollout.errors import DocumentError
from rollout.model import Release
from signing.admit import Admission, check_submission
from signing.errors import StaleBaseError, SubmissionError
from signing.metadata import version_of
from signing.roles import POLICY as POLICY_ROLE
from signing.roles import rollout_role
from signing.state import RepositoryState
from signing.verify import SignedFile
from update_server.service.access.caller import Caller
from update_server.service.agents.placement import has, private_key, public_key, upload_key
from update_server.service.ports import (
    App,
    Blobs,
    Clock,
    Database,
    SignedState,
    Signer,
    Stores,
)
from update_server.service.repository.contents import ROLLOUT, read_contents
from update_server.service.repository.leases import Leases
from update_server.service.repository.states import SignedStates

_SUBJECT_CHARACTERS: Final = 200  # of a list of roles, in the audit log


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningView:
    """What a publisher builds upon: the newest signed bytes and version of every role."""

    app: App
    online_keys: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, int]
    metadata: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What a submission brought. Empty when it had been admitted before."""

    versions: Mapping[str, int]
    admitted: tuple[str, ...]
    releases: tuple[Release, ...]
    timestamp_version: int


class Publisher:
    """Takes in signed metadata."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        signer: Signer,
        clock: Clock,
        *,
        leases: Leases,
        states: SignedStates,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._signer = signer
        self._clock = clock
        self._leases = leases
        self._states = states

    def view(self, name: str) -> SigningView:
        """Return the state to build upon. Raises NotFoundError for an unknown app."""
        with self._database.reading() as stores:
            app = stores.apps.get(name)
        keys = self._signer.online_keys(name)
        state = self._signer.status(name)
        return SigningView(
            app=app, online_keys=keys, versions=_versions(state), metadata=state.metadata
        )

    def submit(
        self, caller: Caller, app: str, submitted: Mapping[str, bytes], base: Mapping[str, int]
    ) -> Submitted:
        """Take in newly signed metadata, by role, built upon the versions in *base*.

        The same submission again is admitted already: it changes nothing and is no error.

        Raises:
            SubmissionError: It breaks a rule; StaleBaseError bears the current versions.
            SignerRefusedError: The signer found what this process did not.
        """
        with self._database.reading() as stores:
            stores.apps.get(app)
        with self._leases.hold(app) as lease:
            state = self._states.catch_up(lease)
            admission = self._check(app, state, submitted, base)
            if not admission.changed:
                return _submitted(admission, state)
            self._place(app, admission)
            state = self._signer.admit(app, admission.changed, admission.files)
            self._states.take_in(
                lease,
                state,
                submitted_by=caller.name,
                also=lambda stores: self._audit(stores, caller, app, admission, base),
            )
        return _submitted(admission, state)

    def _check(
        self,
        app: str,
        state: SignedState,
        submitted: Mapping[str, bytes],
        base: Mapping[str, int],
    ) -> Admission:
        with self._database.reading() as stores:
            known = {target.path: target.sha256 for target in stores.releases.targets(app)}
        admission = check_submission(
            RepositoryState(app=app, metadata=state.metadata),
            submitted,
            lambda path, sha256, length: self._is_present(app, path, sha256, length),
            self._clock.now(),
            known=known,
        )
        versions = _versions(state)
        for role in admission.changed:
            if base.get(role, versions.get(role, 0)) != versions.get(role, 0):
                raise StaleBaseError(role, versions)
        _check_in_force(app, state, admission)
        return admission

    def _is_present(self, app: str, path: str, sha256: str, length_bytes: int) -> bool:
        stored = _stored_path(path, sha256, length_bytes)
        keys = (upload_key(app, sha256), private_key(app, stored), public_key(app, stored))
        # An upload is readable under its digest only once the digest was checked.
        return any(has(self._blobs, key, length_bytes) for key in keys)

    def _place(self, app: str, admission: Admission) -> None:
        """Give the uploaded files their signed names. Nobody is offered them yet."""
        for path, (sha256, length_bytes) in admission.files.items():
            stored = _stored_path(path, sha256, length_bytes)
            placed = (private_key(app, stored), public_key(app, stored))
            if not any(has(self._blobs, key, length_bytes) for key in placed):
                self._blobs.copy(upload_key(app, sha256), private_key(app, stored))

    def _audit(
        self,
        stores: Stores,
        caller: Caller,
        app: str,
        admission: Admission,
        base: Mapping[str, int],
    ) -> None:
        stores.audit.append(
            at=self._clock.now(),
            actor=caller.name,
            action="signing.submit",
            app=app,
            subject=", ".join(sorted(admission.changed))[:_SUBJECT_CHARACTERS],
            before={role: base[role] for role in sorted(admission.changed) if role in base},
            after={
                "versions": {
                    role: version_of(data) for role, data in sorted(admission.changed.items())
                },
                "releases": [
                    f"{release.channel}/{release.platform}/{release.version}"
                    for release in admission.releases
                ],
            },
        )


def _check_in_force(app: str, state: SignedState, admission: Admission) -> None:
    """Return if every new policy allows what is in force under the old one.

    Else the channel's next document, a pause perhaps, could not be signed any more.
    """
    roles = [rollout_role(policy.channel) for policy in admission.policies]
    contents = read_contents(app, state.metadata, roles)
    for policy in admission.policies:
        stored = contents.document(policy.channel, ROLLOUT)
        if stored is None:
            continue
        try:
            check_against_policy(parse_rollout(stored.document), policy)
        except DocumentError as error:
            detail = f"{policy.channel}: it forbids what is in force: {error}"
            raise SubmissionError("bad_document", detail, role=POLICY_ROLE) from error


def _stored_path(path: str, sha256: str, length_bytes: int) -> str:
    return SignedFile(path=path, sha256=sha256, length_bytes=length_bytes).stored_path


def _versions(state: SignedState) -> dict[str, int]:
    return {role: version_of(data) for role, data in state.metadata.items()}


def _submitted(admission: Admission, state: SignedState) -> Submitted:
    return Submitted(
        versions=_versions(state),
        admitted=tuple(sorted(admission.changed)),
        releases=admission.releases,
        timestamp_version=state.timestamp_version,
    )
