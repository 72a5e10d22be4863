"""What a use-case raises when it does not do what was asked. All carry data.

Not here: what a port may raise (``service.ports``), and how an error looks on the wire
(``web.errors``, the one table of statuses and codes).
"""

from __future__ import annotations

from collections.abc import Sequence

from packaging.version import Version

from rollout.model import Rollout
from update_server.service.ports.pending import PendingVerb


class ServiceError(Exception):
    """Base of the use-cases' errors. Never raised itself."""


class UnknownAppError(ServiceError):
    """No such app is registered here."""

    def __init__(self, app: str) -> None:
        super().__init__(f"no app {app!r} is registered here")
        self.app = app


class UnknownChannelError(ServiceError):
    """The app has no such channel."""

    def __init__(self, app: str, channel: str) -> None:
        super().__init__(f"app {app!r} has no channel {channel!r}")
        self.app = app
        self.channel = channel
        self.field = "channel"


class UnknownPlatformError(ServiceError):
    """The app is not built for this platform."""

    def __init__(self, app: str, platform: str) -> None:
        super().__init__(f"app {app!r} is not built for platform {platform!r}")
        self.app = app
        self.platform = platform
        self.field = "platform"


class BadTokenError(ServiceError):
    """The install token was not issued by this server, to this install of this app."""

    def __init__(self) -> None:
        super().__init__("the token was not issued to this install: check in for a new one")
        self.field = "token"


class ExpiredTokenError(ServiceError):
    """The install token was issued here, too long ago."""

    def __init__(self) -> None:
        super().__init__("the token has expired: check in for a new one")
        self.field = "token"


class BadKeyError(ServiceError):
    """The key of a crash report opens no app here, or not this one: it is not told which."""

    def __init__(self) -> None:
        super().__init__("the key does not belong to this project: report to the DSN as it is")


class BadCodeError(ServiceError):
    """The enrolment code is unknown, revoked, expired or used up: it is not told which."""

    def __init__(self) -> None:
        super().__init__("the code is unknown, revoked, expired or used up")
        self.field = "code"


class NoFileError(ServiceError):
    """No file of that name is served to the one who asks."""

    def __init__(self) -> None:
        super().__init__("there is no such file")


class NoNextRootError(NoFileError):
    """There is no root of that version yet: the ordinary end of a walk over the roots."""


class PulledError(ServiceError):
    """The file belongs to a release that was pulled."""

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version} was pulled")
        self.version = version


class NotReadyError(ServiceError):
    """This process never got to read what it must know to answer."""

    def __init__(self) -> None:
        super().__init__("the server is starting, or cannot reach its database")


# --- what publishers and operators may meet ----------------------------------------------


class BadApiTokenError(ServiceError):
    """The token is unknown, revoked or expired: it is not told which."""

    def __init__(self) -> None:
        super().__init__("the token is unknown, revoked or expired")


class BadValueError(ServiceError):
    """A value is well-formed, but is not possible here. ``field`` names it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class RolloutRefusedError(ServiceError):
    """Base of what tells an operator how the rollout stands now. Never raised itself."""

    def __init__(self, text: str, rollout: Rollout) -> None:
        super().__init__(text)
        self.rollout = rollout


class ConflictError(RolloutRefusedError):
    """Somebody else changed the rollout meanwhile: look again, then decide."""

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(f"rollout {rollout.id} was changed by somebody else", rollout)


class IllegalVerbError(RolloutRefusedError):
    """The verb does not fit the rollout's state. ``legal`` names those that do."""

    def __init__(self, verb: str, detail: str, rollout: Rollout, legal: Sequence[str]) -> None:
        super().__init__(f"cannot {verb} this rollout: {detail}", rollout)
        self.verb = verb
        self.legal = list(legal)


class RevisionError(RolloutRefusedError):
    """The operator decided on another revision of the rollout than the newest."""

    def __init__(self, rollout: Rollout, expected: int) -> None:
        super().__init__(f"the newest revision is {rollout.revision}, not {expected}", rollout)
        self.current = rollout.revision


class NotNewerError(RolloutRefusedError):
    """The channel has a rollout of this version or of a newer one already."""

    def __init__(self, version: Version, rollout: Rollout) -> None:
        super().__init__(
            f"version {version} is not newer than {rollout.version}, "
            f"whose rollout on {rollout.channel!r} is {rollout.state}",
            rollout,
        )
        self.version = str(version)


class NotReleasedError(ServiceError):
    """No release of this version was admitted on the channel."""

    def __init__(self, channel: str, version: Version) -> None:
        super().__init__(f"version {version} is not released on {channel!r}: publish it first")
        self.field = "version"


class NotRegisteredError(ServiceError):
    """The app's root, targets and policies were not submitted yet."""

    def __init__(self, app: str, missing: str) -> None:
        super().__init__(f"app {app!r} has no signed {missing} yet: submit it first")
        self.missing = missing


class ApprovalsMissingError(ServiceError):
    """The change needs more approvals, or an explicit one. ``why`` names what it goes beyond.

    ``hint`` says how the one who asks can give it; empty when others must.
    """

    def __init__(self, needed: int, why: Sequence[str], hint: str = "") -> None:
        what = "this goes beyond the signed ramp"
        if needed > 1:
            what = f"{needed} operators must approve this"
        super().__init__(f"{what}: {'; '.join(why)}")
        self.needed = needed
        self.why = list(why)
        self.hint = hint


class PendingError(ApprovalsMissingError):
    """The change needs more people: it was noted, and waits for them. Nothing was done."""

    def __init__(self, pending: PendingVerb, why: Sequence[str]) -> None:
        super().__init__(pending.needs, why)
        self.pending = pending


class TooManyPendingError(ServiceError):
    """So many asks wait for a second person that one must be withdrawn first."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} asks wait for a second person already: withdraw one first")
        self.limit = limit


class NeverAllowedError(ServiceError):
    """The signed policy forbids the change, whoever asks. ``why`` names the rules."""

    def __init__(self, why: Sequence[str]) -> None:
        super().__init__(f"the signed policy forbids this: {'; '.join(why)}")
        self.why = list(why)


class InexpressibleError(ServiceError):
    """What is wanted cannot be said within the signed policy. ``where``: in the document."""

    def __init__(self, detail: str, where: str) -> None:
        super().__init__(f"the channel's policy does not allow this: {detail} ({where})")
        self.where = where


class BrokenStateError(ServiceError):
    """Stored bytes are not what was signed: nothing is published until somebody looked."""

    def __init__(self, app: str, detail: str) -> None:
        super().__init__(f"the repository of {app!r} is broken: {detail}")
        self.app = app


class BadSignInError(ServiceError):
    """Name and password do not belong together, or nobody is known by this identity."""

    def __init__(self) -> None:
        super().__init__("this name and this password do not belong together")


class BadSessionError(ServiceError):
    """Nobody is signed in by this secret, or not any more."""

    def __init__(self) -> None:
        super().__init__("you are not signed in, or not any more")


class WrongPasswordError(ServiceError):
    """The password, asked for again, is not that of who is signed in."""

    def __init__(self) -> None:
        super().__init__("this is not your password: nothing was done")


class NoPasswordError(ServiceError):
    """What was asked for is approved by a password, and whoever asks has none of their own."""

    def __init__(self) -> None:
        super().__init__("this needs a password of your own: ask an admin for a link to set one")


class BadLinkError(ServiceError):
    """The link to set a password was used, has expired, or never was: it is not told which."""

    def __init__(self) -> None:
        super().__init__("this link was used before, has expired, or never was: ask for a new one")


class TooManyFailuresError(ServiceError):
    """It went wrong too often: there is a wait before the next try."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many failures: try again in {in_words(retry_after_seconds)}")
        self.retry_after_seconds = retry_after_seconds


def in_words(seconds: int) -> str:
    """Return how long *seconds* are, for people."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "one second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return "one minute" if minutes == 1 else f"{minutes} minutes"
