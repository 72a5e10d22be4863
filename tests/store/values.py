"""Valid values of what stores keep. A test shows only the field that matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.version import Version

from rollout.model import Arm, Audience, Hold, Rollout, RolloutId, RolloutState, Step
from update_server.service.ports import (
    ApiToken,
    App,
    Contact,
    Enrolment,
    EnrolmentCode,
    Event,
    Group,
    Phase,
    Role,
    StoredDocument,
    StoredHold,
    StoredRelease,
    StoredTarget,
)
from update_server.service.ports.pending import Approval, PendingVerb
from update_server.service.ports.studies import (
    History,
    LogKind,
    StoredDecision,
    StoredLabel,
    StoredMember,
    StoredStudy,
)

NOW = datetime(2026, 11, 22, 3, 7, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROLLOUT = RolloutId("ro_7k2m")
OTHER_ROLLOUT = RolloutId("ro_9999")


def an_app(name: str = "demo", **changes: Any) -> App:
    app = App(
        name=name, number=0, created_at=NOW, channels=("stable",), platforms=("linux-x86_64",)
    )
    return replace(app, **changes)


def a_rollout(rollout_id: str = "ro_7k2m", **changes: Any) -> Rollout:
    rollout = Rollout(
        id=RolloutId(rollout_id),
        app="demo",
        channel="stable",
        version=Version("2.1.0"),
        state=RolloutState.ACTIVE,
        ladder=(Step(ring="internal", soak_seconds=60), Step(ring="1%", exposure_bp=100)),
        position=0,
        started_at=NOW,
        position_reached_at=NOW,
        changed_at=NOW,
    )
    return replace(rollout, **changes)


def a_hold(hold_id: str = "h1", *, audience: Audience | None = None, **changes: Any) -> StoredHold:
    hold = StoredHold(
        app="demo",
        channel="stable",
        hold=Hold(
            id=hold_id,
            title="Crashes with driver 531",
            link="https://status.example.org/h1",
            audience=audience or Audience(os_version=("<13",)),
        ),
        created_at=NOW,
        created_by="ada",
        reason="reports",
    )
    return replace(hold, **changes)


def a_pending(pending_id: str = "pe_1", **changes: Any) -> PendingVerb:
    pending = PendingVerb(
        id=pending_id,
        app="demo",
        channel="stable",
        rollout=ROLLOUT,
        verb="promote",
        version=Version("2.1.0"),
        ring="1%",
        revision=1,
        entry="ab" * 32,
        terms="",
        needs=2,
        reason="it is urgent",
        asked_at=NOW,
        expires_at=NOW + HOUR,
        approvals=(
            Approval(by="ada (tk_1)", token_id="tk_1", tickets=("srt_ticket", "srt_other")),
        ),
    )
    return replace(pending, **changes)


def a_release(**changes: Any) -> StoredRelease:
    release = StoredRelease(
        app="demo",
        channel="stable",
        platform="linux-x86_64",
        version=Version("2.1.0"),
        number=0,
        document=b'{"schema":1}',
        admitted_at=NOW,
        submitted_by="ada",
    )
    return replace(release, **changes)


def a_target(path: str = "demo/policy/stable.json", **changes: Any) -> StoredTarget:
    target = StoredTarget(app="demo", path=path, sha256="ab" * 32, length_bytes=5_000_000_000)
    return replace(target, **changes)


def a_document(**changes: Any) -> StoredDocument:
    document = StoredDocument(
        app="demo",
        channel="stable",
        kind="rollout",
        version=1,
        expires_at=NOW + 72 * HOUR,
        document=b"{}",
    )
    return replace(document, **changes)


def a_token(token_id: str = "tk_1", **changes: Any) -> ApiToken:
    token = ApiToken(
        id=token_id,
        sha256=f"hash of {token_id}",
        name="ci",
        role=Role.PUBLISHER,
        app=None,
        created_at=NOW,
    )
    return replace(token, **changes)


def a_group(name: str = "staff", **changes: Any) -> Group:
    return replace(Group(app="demo", name=name, created_at=NOW), **changes)


def a_code(code_id: str = "ec_1", **changes: Any) -> EnrolmentCode:
    code = EnrolmentCode(
        id=code_id,
        app="demo",
        group="staff",
        sha256=f"hash of {code_id}",
        created_at=NOW,
        expires_at=NOW + HOUR,
        uses_left=2,
    )
    return replace(code, **changes)


def an_enrolment(sha256: str = "hash of a credential", **changes: Any) -> Enrolment:
    enrolment = Enrolment(
        app="demo", group="staff", install_key=b"k" * 32, sha256=sha256, created_at=NOW
    )
    return replace(enrolment, **changes)


def a_contact(install: str = "1", **changes: Any) -> Contact:
    contact = Contact(
        app="demo",
        install_key=install.encode(),
        at=NOW,
        channel="stable",
        platform="linux-x86_64",
        version="2.0.0",
        action="update",
        reason="in_ring",
        offered="2.1.0",
        rollout=RolloutId("ro_7k2m"),
        ring="1%",
        arm=Arm.CANDIDATE,
    )
    return replace(contact, **changes)


def a_control(install: str = "1", **changes: Any) -> Contact:
    """Return the contact of an install outside the ring."""
    outside = {"action": "stay", "reason": "outside_ring", "offered": None, "arm": Arm.CONTROL}
    return a_contact(install, **{**outside, **changes})


def an_event(install: str = "1", event_id: str = "e1", **changes: Any) -> Event:
    event = Event(
        app="demo",
        install_key=install.encode(),
        id=event_id,
        at=NOW,
        received_at=NOW,
        kind="update",
        version="2.1.0",
        phase=Phase.APPLIED,
        channel="stable",
    )
    return replace(event, **changes)


def a_study(rollout: RolloutId = ROLLOUT, **changes: Any) -> StoredStudy:
    study = StoredStudy(
        rollout=rollout,
        app="demo",
        channel="stable",
        version=1,
        settings=b"settings",
        state=b"state",
        opened_at=NOW,
    )
    return replace(study, **changes)


def a_member(body: bytes = b"member", **changes: Any) -> StoredMember:
    return replace(StoredMember(body=body, platform="linux-x86_64"), **changes)


def a_label(body: bytes = b"label", **changes: Any) -> StoredLabel:
    label = StoredLabel(epoch=1, metric="crash", kind=LogKind.LABEL, body=body, networks=b"n")
    return replace(label, **changes)


def a_decision(decision_id: str = "de_1", **changes: Any) -> StoredDecision:
    decision = StoredDecision(
        id=decision_id,
        rollout=ROLLOUT,
        app="demo",
        at=NOW,
        verdict="pause",
        record={"log_e": 4.605170185988092, "metrics": ["crash"], "installs": 7},
        log_size=3,
    )
    return replace(decision, **changes)


def a_history(**changes: Any) -> History:
    return replace(History(first_at=0.1, check_ins=2, early=(0.1, 0.2), seen=(0.1, 0.2)), **changes)
