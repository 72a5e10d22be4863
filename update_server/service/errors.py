"""What a use-case raises when it does not do what was asked. All carry data.

Not here: what a port may raise (``service.ports``), and how an error looks on the wire
(``web.errors``, the one table of statuses and codes).
"""

from __future__ import annotations


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


class BadCodeError(ServiceError):
    """The enrolment code is unknown, revoked, expired or used up: it is not told which."""

    def __init__(self) -> None:
        super().__init__("the code is unknown, revoked, expired or used up")
        self.field = "code"


class NoFileError(ServiceError):
    """No file of that name is served to the one who asks."""

    def __init__(self) -> None:
        super().__init__("there is no such file")


class PulledError(ServiceError):
    """The file belongs to a release that was pulled."""

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version} was pulled")
        self.version = version


class NotReadyError(ServiceError):
    """This process never got to read what it must know to answer."""

    def __init__(self) -> None:
        super().__init__("the server is starting, or cannot reach its database")
