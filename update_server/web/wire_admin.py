"""What publishers and operators send: JSON to values.

Unknown fields are ignored, but for those of an audience: a selector that we do not know
would make a hold narrower than was meant. Text is checked for control characters here, so
that none reaches a terminal, a log line or a database that refuses them.

Not here: answers (``web.admin.answers``), and whether what was asked is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

import msgspec
from packaging.version import Version

from rollout.documents import parse_ladder, render_ladder
from rollout.documents.policies import MAX_STEPS
from rollout.errors import BadNameError, DocumentError, InvalidVersionError
from rollout.model import Audience, RolloutId, Step
from rollout.names import check_app, check_channel, check_group, check_platform, check_rollout_id
from rollout.versions import parse_version
from update_server.evidence.ladder import TermsError, settings_from_json
from update_server.evidence.settings import Settings
from update_server.service.ports import Role
from update_server.web.errors import BadFieldError
from update_server.web.wire import decode

T = TypeVar("T")

MAX_SIGNING_BODY_BYTES: Final = 6 * 1024 * 1024  # targets (5 MB cap) and what goes with it

_LINE: Final = r"^[^\x00-\x1f\x7f]*$(?!\n)"
_PARAGRAPH: Final = r"^[^\x00-\x08\x0b-\x1f\x7f]*$(?!\n)"
_TEN_YEARS_SECONDS: Final = 315_360_000
_LONGEST_WAIVER: Final = 14 * 86_400  # seconds; longer ones would be forgotten about

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=_LINE)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=_LINE)]
Reason = Annotated[str, msgspec.Meta(max_length=500, pattern=_PARAGRAPH)]
Words = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=64)]
Signature = Annotated[str, msgspec.Meta(max_length=16, pattern=r"^[0-9a-f]{16}$(?!\n)")]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=_TEN_YEARS_SECONDS)]
LifeSeconds = Annotated[int, msgspec.Meta(ge=1, le=_TEN_YEARS_SECONDS)]


class AddApp(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/admin/apps``."""

    app: Word
    channels: Words
    platforms: Words


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/signing``: newly signed metadata by role, and what it was built upon."""

    metadata: Annotated[dict[Word, str], msgspec.Meta(min_length=1, max_length=512)]
    base: dict[Word, Annotated[int, msgspec.Meta(ge=0)]] = {}


class LadderStep(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a ladder."""

    ring: Line
    exposure_bp: BasisPoints | None = None
    holdback_bp: BasisPoints = 0
    soak_seconds: Seconds = 0
    approvals: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0


class StartRollout(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/rollouts``. ``ladder`` None: the one that the policy signs.

    ``terms``: what the rollout is judged by (``evidence.terms``); None: as published.
    ``first_for``: a bad version whose installs are offered this one first, all of them.
    """

    version: Word
    channel: Word
    ladder: Annotated[list[LadderStep], msgspec.Meta(min_length=1, max_length=MAX_STEPS)] | None = (
        None
    )
    terms: dict[str, Any] | None = None
    start_ring: Line | None = None
    first_for: Word | None = None
    reason: Reason = ""


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/rollouts/{id}/promote|pause|resume|pull``.

    ``waive``: crash signatures that are known and accepted for ``waive_seconds``.
    """

    reason: Reason = ""
    ring: Line | None = None
    replacement: Word | None = None
    override: bool = False
    waive: Annotated[list[Signature], msgspec.Meta(max_length=64)] = []
    waive_seconds: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_WAIVER)] = _LONGEST_WAIVER


class HoldAudience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which installs a hold keeps back: all keys must match, of a list any value."""

    groups: Words | None = None
    platform: Words | None = None
    os_version: Words | None = None
    locale: Words | None = None
    country: Words | None = None
    custom: Annotated[dict[Word, Words], msgspec.Meta(max_length=64)] | None = None


class AddHold(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/holds``. ``rollout`` None: every rollout of the channel."""

    channel: Word
    title: Line
    link: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=_LINE)]
    audience: HoldAudience
    reason: Reason = ""
    rollout: Word | None = None


class AddWaiver(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/waivers``: a crash signature that is known and accepted for some time."""

    channel: Word
    version: Word
    signature: Signature
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Reason


class StrikeEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/evidence/strike``: whose reports are withdrawn; one of install and network."""

    install_id: Word | None = None
    network: Word | None = None
    reason: Reason


class AddGroup(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/groups``."""

    name: Word


class AddEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    """``POST …/enrolments``: a code for so many installs."""

    group: Word
    uses: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    expires_in_seconds: LifeSeconds = 7 * 86_400


class AddToken(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/admin/tokens``. ``app`` None: for all apps."""

    name: Line
    role: Role
    app: Word | None = None
    expires_in_seconds: LifeSeconds | None = None


_DECODERS: Final[Mapping[type[Any], msgspec.json.Decoder[Any]]] = MappingProxyType(
    {
        body: msgspec.json.Decoder(body)
        for body in (
            AddApp,
            Submission,
            StartRollout,
            Verb,
            AddHold,
            AddWaiver,
            StrikeEvidence,
            AddGroup,
            AddEnrolment,
            AddToken,
        )
    }
)


def parse(data: bytes, body: type[T]) -> T:
    """Return *data* as *body*. Raises MalformedError or BadFieldError."""
    parsed: T = decode(data, _DECODERS[body])
    return parsed


def parse_verb(data: bytes) -> Verb:
    """Return what a verb asks; an empty body asks nothing more than the verb."""
    return parse(data or b"{}", Verb)


def app_name(text: str) -> str:
    """Return *text* if it may name an app; raise BadFieldError otherwise."""
    return _named("app", check_app, text)


def channel_name(text: str) -> str:
    """Return *text* if it may name a channel; raise BadFieldError otherwise."""
    return _named("channel", check_channel, text)


def group_name(text: str, field: str) -> str:
    """Return *text* if it may name a group; raise BadFieldError otherwise."""
    return _named(field, check_group, text)


def channel_names(texts: Sequence[str]) -> list[str]:
    """Return *texts* if each may name a channel; raise BadFieldError otherwise."""
    return [_named(f"channels[{i}]", check_channel, text) for i, text in enumerate(texts)]


def platform_names(texts: Sequence[str]) -> list[str]:
    """Return *texts* if each may name a platform; raise BadFieldError otherwise."""
    return [_named(f"platforms[{i}]", check_platform, text) for i, text in enumerate(texts)]


def rollout_id(text: str, field: str = "rollout") -> RolloutId:
    """Return *text* if it may be a rollout's ID; raise BadFieldError otherwise."""
    return _named(field, check_rollout_id, text)


def version_of(text: str, field: str = "version") -> Version:
    """Return the version that *text* spells; raise BadFieldError otherwise."""
    try:
        return parse_version(text)
    except InvalidVersionError as error:
        raise BadFieldError(field, error.rule) from error


def utc(at: datetime) -> datetime:
    """Return the same instant in UTC; raise BadFieldError if there it has no date."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise BadFieldError("expires_at", "a date that every time zone has") from error


def optional_version(text: str | None, field: str) -> Version | None:
    """Return the version that *text* spells, if there is one."""
    return None if text is None else version_of(text, field)


def ladder_of(steps: Sequence[LadderStep]) -> tuple[Step, ...]:
    """Return the ladder that *steps* say; raise BadFieldError if a policy could not."""
    ladder = tuple(
        Step(
            ring=step.ring,
            exposure_bp=step.exposure_bp,
            holdback_bp=step.holdback_bp,
            soak_seconds=step.soak_seconds,
            approvals=step.approvals,
        )
        for step in steps
    )
    try:
        return parse_ladder(render_ladder(ladder))
    except DocumentError as error:
        raise BadFieldError(error.where or "ladder", error.detail) from error


def terms_of(terms: Mapping[str, Any]) -> Settings:
    """Return what *terms* say a rollout is judged by.

    Raises:
        BadFieldError: A setting is wrong; unlike elsewhere, also where it is not known: a
            misspelt limit would be none.
    """
    try:
        return settings_from_json(terms)
    except TermsError as error:
        raise BadFieldError(f"terms.{error.where}", error.problem) from error


def audience_of(audience: HoldAudience) -> Audience:
    """Return the audience that was sent."""
    custom = audience.custom
    return Audience(
        groups=_tuple(audience.groups),
        platform=_tuple(audience.platform),
        os_version=_tuple(audience.os_version),
        locale=_tuple(audience.locale),
        country=_tuple(audience.country),
        custom=None
        if custom is None
        else MappingProxyType({key: tuple(values) for key, values in custom.items()}),
    )


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _named(field: str, check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except BadNameError as error:
        raise BadFieldError(field, error.rule) from error
