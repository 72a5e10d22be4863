"""Mail: plain text, the message's text first."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

from update_server.notify import deadline
from update_server.notify.chat import address_of
from update_server.notify.deadline import Deadline
from update_server.notify.network import ANSWER_SECONDS, Network, Place, too_late, why_failed
from update_server.notify.secret_files import read_secret
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import Message, UndeliveredError

_SCHEMES: Final = frozenset({"smtp", "smtps"})
_OK: Final = 250
_MOST_REMEMBERED: Final = 1_000  # messages


class Mail:
    """Sends to one list of recipients by one server."""

    def __init__(self, settings: TargetSettings, network: Network) -> None:
        self._settings = settings
        self._network = network
        # Who has a message that others are still to get: nobody is sent it each time it is tried.
        self._had: dict[str, set[str]] = {}

    def send(self, message: Message, now: datetime) -> int:
        """Send, and return 250. Raises UndeliveredError."""
        settings = self._settings
        password = read_secret(settings.password_file) if settings.password_file else ""
        place = self._network.find(address_of(settings), _SCHEMES, settings.allow_private)
        mail = render(message, settings.sender, settings.recipients, now)
        had = self._had.get(message.id, set())
        waiting = [each for each in settings.recipients if each not in had]
        with Deadline(deadline.WHOLE_SECONDS) as end:
            try:
                server = _connect(place, self._network.trust(), end)
                try:
                    if password:
                        server.login(settings.user, password)
                    refused = server.send_message(mail, to_addrs=waiting)
                    _part(server)
                finally:
                    server.close()
            except (OSError, smtplib.SMTPException) as error:
                raise _told(place, error, is_late=end.is_over) from error
        self._had.pop(message.id, None)
        if refused:
            if len(self._had) < _MOST_REMEMBERED:
                self._had[message.id] = had | (set(waiting) - set(refused))
            raise UndeliveredError(f"{place.host} refused {len(refused)} of the recipients")
        return _OK


def render(
    message: Message, sender: str, recipients: tuple[str, ...], now: datetime
) -> EmailMessage:
    """Return *message* as a mail of *now*."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(now)
    # The same for the same message, so that mail programs show it once.
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2].strip('> ')}>"
    mail["Auto-Submitted"] = "auto-generated"
    about = [f"at: {message.at:%Y-%m-%d %H:%M:%S} UTC", f"message: {message.id}"]
    if message.rollout:
        about.append(f"rollout: {message.rollout}")
    mail.set_content("\n".join([message.text, "", *about, ""]))
    return mail


def _told(place: Place, error: Exception, *, is_late: bool) -> UndeliveredError:
    if is_late:
        return UndeliveredError(too_late(place))
    if isinstance(error, smtplib.SMTPResponseException):
        # What the server says may repeat what it was told; its code says enough.
        why = f"{place.host} answered {error.smtp_code}"
        return UndeliveredError(why, status=error.smtp_code)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return UndeliveredError(f"{place.host} takes mail for none of the recipients")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return UndeliveredError(f"{place.host} offers no {_lacking(error)}")
    return UndeliveredError(why_failed(place, error))


def _part(server: smtplib.SMTP) -> None:
    """Say goodbye. The mail is taken, whatever the server says to that."""
    with suppress(OSError, smtplib.SMTPException):
        server.quit()


def _connect(place: Place, trust: ssl.SSLContext, end: Deadline) -> smtplib.SMTP:
    """Return a session with the server; an unencrypted one only where the settings allow it."""
    if place.scheme == "smtps":
        return _EncryptedSmtp(place, trust, end)
    server = _Smtp(place, end)
    try:
        server.ehlo()
        # Asked for where it is not offered, it fails as it should: somebody may have taken the
        # offer out.
        if server.has_extn("starttls") or not place.is_allowed:
            server.starttls(context=trust)
            if server.sock is not None:
                end.watch(server.sock)
            server.ehlo()
    except BaseException:
        server.close()
        raise
    return server


class _Smtp(smtplib.SMTP):
    """A session with the address that was looked up, by the name that it was looked up for."""

    def __init__(self, place: Place, end: Deadline) -> None:
        self._place = place
        self._end = end
        super().__init__(place.host, place.port, timeout=ANSWER_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host
        connected = socket.create_connection((self._place.address, port), timeout)
        self._end.watch(connected)
        return connected


class _EncryptedSmtp(smtplib.SMTP_SSL):
    """The same, encrypted from the start."""

    def __init__(self, place: Place, trust: ssl.SSLContext, end: Deadline) -> None:
        self._place = place
        self._end = end
        super().__init__(place.host, place.port, timeout=ANSWER_SECONDS, context=trust)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host
        plain = socket.create_connection((self._place.address, port), timeout)
        context: Any = self.context
        wrapped: socket.socket = context.wrap_socket(plain, server_hostname=self._place.host)
        self._end.watch(wrapped)
        return wrapped


def _lacking(error: smtplib.SMTPNotSupportedError) -> str:
    return "STARTTLS" if "STARTTLS" in str(error) else "login"
