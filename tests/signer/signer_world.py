"""A server's signer with one registered app, its publisher, and its operators' tokens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from packaging.version import Version

from rollout.documents import parse_rollout, render_release, render_rollout
from rollout.model import (
    Approvals,
    Automatic,
    Entry,
    OpenRing,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)
from signing.ceremony import first_repository, sign_releases
from signing.drafts import Draft
from signing.public_keys import parse_key
from signing.roles import Layout, rollout_role
from signing.state import RepositoryState
from tests.fakes import FakeClock, FakeDatabase
from tests.fakes.passwords import QUICK_PASSWORDS
from tests.signing.world import APP, LINUX, NOW, PUBLISHER, SOLO, a_policy, a_release, files_of
from update_server.service.ports import ApiToken, App, Role, SignedState
from update_server.signer.documents import SignedDocuments
from update_server.signer.online import OnlineSigner

RAMP = (
    Step(ring="1%", exposure_bp=100),
    Step(ring="10%", exposure_bp=1_000),
    Step(ring="all", exposure_bp=10_000, approvals=2),
)
ROLLOUT = RolloutId("ro_first")


@dataclass
class SignerWorld:
    """``token(name)`` adds an operator and returns the bearer token."""

    signer: OnlineSigner
    database: FakeDatabase
    clock: FakeClock
    folder: Path

    def token(
        self,
        name: str,
        role: Role = Role.OPERATOR,
        app: str | None = APP,
        *,
        token_id: str = "",
        revoked: bool = False,
        expired: bool = False,
    ) -> str:
        token_id = token_id or f"tok_{name}"
        token = token_id.replace("tok_", "srn_")
        now = self.clock.now()
        with self.database.transaction() as stores:
            stores.access.add_token(
                ApiToken(
                    id=token_id,
                    sha256=hashlib.sha256(token.encode()).hexdigest(),
                    name=name,
                    role=role,
                    app=app,
                    created_at=now,
                    revoked_at=now if revoked else None,
                    expires_at=now if expired else None,
                )
            )
        return token

    def restarted(self) -> SignerWorld:
        """Return the same world with a signer that has only its files."""
        signer = OnlineSigner(self.folder, self.database, self.clock, QUICK_PASSWORDS)
        return replace(self, signer=signer)

    def revoke(self, name: str) -> None:
        """End the token of an operator."""
        with self.database.transaction() as stores:
            stores.access.revoke_token(f"tok_{name}", self.clock.now())

    def ticket(
        self,
        document: RolloutDocument,
        token: str,
        rollout: RolloutId = ROLLOUT,
        *,
        based_on: int | None = None,
    ) -> str:
        """Return a ticket for *token*, by default upon the newest state."""
        newest = self.signer.status(APP).timestamp_version
        return self.signer.ticket(
            APP,
            document.channel,
            render_rollout(document),
            rollout,
            token,
            based_on=newest if based_on is None else based_on,
        )

    def state(self) -> RepositoryState:
        metadata = self.signer.status(APP).metadata
        return RepositoryState(app=APP, metadata=metadata)

    def publish(self, version: str, rollback_to: tuple[str, ...] = ()) -> SignedState:
        release = a_release(version, rollback_to=tuple(map(Version, rollback_to)))
        draft = Draft(document=render_release(release), files=files_of(release))
        submitted = sign_releases(self.state(), [draft], PUBLISHER, self.clock.now())
        return self.signer.admit(APP, submitted, files_of(release))

    def ask(
        self,
        document: RolloutDocument,
        *tokens: str,
        automatic: bool = False,
        based_on: int | None = None,
    ) -> RolloutDocument:
        """Have *document* signed, by default upon the newest state; return what is signed then."""
        newest = self.signer.status(APP).timestamp_version
        state = self.signer.sign_rollout(
            APP,
            document.channel,
            render_rollout(document),
            tokens,
            based_on=newest if based_on is None else based_on,
            automatic=automatic,
        )
        signed = SignedDocuments.read(RepositoryState(app=APP, metadata=state.metadata))
        found = signed.rollout("stable")
        assert found is not None
        assert rollout_role("stable") in state.metadata
        assert parse_rollout(render_rollout(found)) == found
        return found


def a_world(folder: Path, **policy: object) -> SignerWorld:
    """Return a world whose app has releases 1.0 and 2.0, the latter with a way back."""
    clock, database = FakeClock(NOW), FakeDatabase()
    with database.transaction() as stores:
        for name in (APP, "other"):
            stores.apps.add(
                App(name=name, number=0, created_at=NOW, channels=("stable",), platforms=(LINUX,))
            )
    signer = OnlineSigner(folder, database, clock, QUICK_PASSWORDS)
    online = {role: parse_key(key) for role, key in signer.new_app(APP).items()}
    defaults: dict[str, object] = {
        "ramp": RAMP,
        "automatic": Automatic(max_rollbacks_per_day=1),
        "approvals": Approvals(outside_ramp=1, resume_after_auto_pause=2),
    }
    first = first_repository(
        Layout(app=APP, channels=("stable",), platforms=(LINUX,)),
        SOLO,
        online,
        {"stable": a_policy("stable", **{**defaults, **policy})},
        clock.now(),
    )
    signer.admit(APP, first, {})
    world = SignerWorld(signer=signer, database=database, clock=clock, folder=folder)
    world.publish("1.0")
    world.publish("2.0", rollback_to=("1.0",))
    clock.advance(timedelta(minutes=1))
    return world


def a_document(*entries: Entry) -> RolloutDocument:
    return RolloutDocument(
        app=APP, channel="stable", issued=NOW, next_check_in_seconds=600, entries=entries
    )


def an_entry(position: int = 0, **changes: object) -> Entry:
    """Return release 2.0 with the ramp open up to *position*."""
    steps = RAMP[: position + 1]
    values: dict[str, object] = {
        "version": Version("2.0"),
        "state": RolloutState.ACTIVE,
        "rollout": ROLLOUT,
        "exposure_bp": steps[-1].exposure_bp,
        "rings": tuple(OpenRing(name=s.ring, exposure_bp=s.exposure_bp or 0) for s in steps),
        **changes,
    }
    return Entry(**values)  # type: ignore[arg-type]
