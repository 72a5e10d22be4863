"""Mail, to a small real server on loopback."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.notify.certificates import Certificates
from tests.notify.messages import AT, a_message
from update_server.notify import deadline
from update_server.notify.mail import Mail, render
from update_server.notify.network import Network
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import UndeliveredError

HOST = "mail.example.com"
PASSWORD = "hunter2-secret"


@dataclass
class PostOffice:
    """What a mail server was told. ``refuses`` maps a command to the answer that refuses it."""

    port: int
    starttls: ssl.SSLContext | None = None
    encrypted: bool = False
    commands: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    trickles_at: str = ""  # a command whose answer never ends


@contextmanager
def a_post_office(
    starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None
) -> Iterator[PostOffice]:
    """Take one mail on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    office = PostOffice(port=listener.getsockname()[1], starttls=starttls)

    def serve() -> None:
        with suppress(OSError), ExitStack() as stack:
            connection = stack.enter_context(listener.accept()[0])
            if implicit is not None:
                connection = stack.enter_context(implicit.wrap_socket(connection, server_side=True))
                office.encrypted = True
            talk(office, connection, stack)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield office
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # nobody may come any more
        thread.join(10)
        listener.close()


def talk(office: PostOffice, connection: socket.socket, stack: ExitStack) -> None:
    lines = stack.enter_context(connection.makefile("rb"))
    connection.sendall(b"220 ready\r\n")
    while line := lines.readline():
        command = line.decode().strip()
        office.commands.append(command)
        verb = command.upper().split(" ")[0].split(":")[0]
        if verb == office.trickles_at:
            while True:  # until the other end has had enough
                connection.sendall(b"250-and\r\n")
                time.sleep(0.02)
        if verb in office.refuses:
            connection.sendall(f"{office.refuses[verb]}\r\n".encode())
        elif verb == "EHLO":
            offers = ["STARTTLS"] if office.starttls and not office.encrypted else []
            answer = ["hello", *offers, "AUTH PLAIN", "SMTPUTF8", "8BITMIME"]
            told = [f"250-{each}" for each in answer[:-1]] + [f"250 {answer[-1]}"]
            connection.sendall("".join(f"{each}\r\n" for each in told).encode())
        elif verb == "STARTTLS" and office.starttls:
            connection.sendall(b"220 go ahead\r\n")
            encrypted = office.starttls.wrap_socket(connection, server_side=True)
            connection, office.encrypted = stack.enter_context(encrypted), True
            lines = stack.enter_context(connection.makefile("rb"))
        elif verb == "AUTH":
            connection.sendall(b"235 welcome\r\n")
        elif verb == "DATA":
            connection.sendall(b"354 go on\r\n")
            data = b"".join(iter(lines.readline, b".\r\n"))
            parsed = email.message_from_bytes(data, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            office.mails.append(parsed)
            connection.sendall(b"250 taken\r\n")
        elif verb == "QUIT":
            connection.sendall(b"221 bye\r\n")
            return
        else:
            connection.sendall(b"250 fine\r\n")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"), HOST)


@pytest.fixture
def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


def a_mail(
    office: PostOffice, certificates: Certificates, scheme: str = "smtp", **changes: Any
) -> Mail:
    settings = TargetSettings(
        name="list",
        kind="smtp",
        url=f"{scheme}://{HOST}:{office.port}",
        sender="serinus@example.com",
        recipients=("ops@example.com", "ann@example.com"),
        allow_private=(HOST,),
    )
    network = Network(resolve=lambda *_: ["127.0.0.1"], trust=certificates.trust)
    return Mail(replace(settings, **changes), network)


def test_a_mail_has_the_text_first(
    certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    with a_post_office(starttls=server_context) as office:
        assert a_mail(office, certificates).send(a_message(), AT) == 250

    [mail] = office.mails
    assert office.encrypted
    assert mail["Subject"] == a_message().subject
    assert (mail["From"], mail["To"]) == ("serinus@example.com", "ops@example.com, ann@example.com")
    assert mail["Message-ID"] == "<msg_1@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content().replace("\r\n", "\n")
    assert text.startswith(f"{a_message().text}\n\nat: 2026-12-01 03:07:00 UTC\nmessage: msg_1\n")
    assert "rollout: ro_1" in text


def test_what_is_about_no_rollout_names_none() -> None:
    mail = render(a_message(rollout=""), "serinus@example.com", ("a@example.com",), AT)

    assert "rollout" not in mail.get_content()


def test_a_password_is_said_only_when_it_is_encrypted(
    tmp_path: Path, certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    with a_post_office(starttls=server_context) as office:
        mail = a_mail(office, certificates, user="serinus", password_file=tmp_path / "password")
        mail.send(a_message(), AT)

    verbs = [command.split(" ")[0].upper() for command in office.commands]
    assert verbs.index("STARTTLS") < verbs.index("AUTH")


def test_encrypted_from_the_start(
    certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    with a_post_office(implicit=server_context) as office:
        a_mail(office, certificates, "smtps").send(a_message(), AT)

    assert office.encrypted
    assert len(office.mails) == 1


def test_a_server_of_ones_own_need_not_encrypt(certificates: Certificates) -> None:
    with a_post_office() as office:
        a_mail(office, certificates).send(a_message(), AT)

    assert len(office.mails) == 1
    assert not office.encrypted


def test_whoever_takes_the_offer_out_gets_no_mail(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server elsewhere nothing goes out unencrypted; the one before is the control."""
    monkeypatch.setattr("update_server.notify.network.is_public", lambda _: True)
    (tmp_path / "password").write_text(PASSWORD)
    with a_post_office() as office:
        mail = a_mail(
            office,
            certificates,
            user="serinus",
            password_file=tmp_path / "password",
            allow_private=(),
        )
        with pytest.raises(UndeliveredError) as raised:
            mail.send(a_message(), AT)

    assert raised.value.why == f"{HOST} offers no STARTTLS"
    assert office.mails == []
    assert not [each for each in office.commands if each.startswith(("AUTH", "MAIL"))]


def test_a_server_with_another_name_gets_no_mail(
    tmp_path: Path, server_context: ssl.SSLContext
) -> None:
    others = Certificates.make(tmp_path, "other.example.com")
    with (
        a_post_office(starttls=server_context) as office,
        pytest.raises(UndeliveredError) as raised,
    ):
        a_mail(office, others).send(a_message(), AT)

    assert raised.value.why.startswith(f"{HOST} cannot prove who it is: ")
    assert office.mails == []


@pytest.mark.parametrize(
    ("refuses", "why", "status"),
    [
        ({"AUTH": f"535 no {PASSWORD}"}, f"{HOST} answered 535", 535),
        ({"MAIL": "451 later"}, f"{HOST} answered 451", 451),
        ({"RCPT": "550 unknown"}, f"{HOST} takes mail for none of the recipients", None),
        ({"DATA": "554 no"}, f"{HOST} answered 554", 554),
        ({"STARTTLS": "454 not now"}, f"{HOST} answered 454", 454),
    ],
)
def test_what_a_server_refuses_is_told_by_its_code(
    tmp_path: Path,
    certificates: Certificates,
    server_context: ssl.SSLContext,
    refuses: dict[str, str],
    why: str,
    status: int | None,
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    with a_post_office(starttls=server_context) as office:
        office.refuses = refuses
        mail = a_mail(office, certificates, user="serinus", password_file=tmp_path / "password")
        with pytest.raises(UndeliveredError) as raised:
            mail.send(a_message(), AT)

    assert (raised.value.why, raised.value.status) == (why, status)
    assert PASSWORD not in str(raised.value)


def test_a_recipient_that_is_refused_is_told(
    certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    with a_post_office(starttls=server_context) as office:
        office.refuses = Once({"RCPT": "550 unknown"})
        with pytest.raises(UndeliveredError) as raised:
            a_mail(office, certificates).send(a_message(), AT)

    assert raised.value.why == f"{HOST} refused 1 of the recipients"


def test_who_has_a_mail_is_not_sent_it_again_with_those_who_have_not(
    certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    with a_post_office(starttls=server_context) as office:
        office.refuses = Once({"RCPT": "450 mailbox busy"})  # that of the first, ops
        mail = a_mail(office, certificates)
        with pytest.raises(UndeliveredError):
            mail.send(a_message(), AT)
    commands: list[str] = []
    for message in (a_message(), a_message()):  # the next try; and, were it to come again, all
        with a_post_office(starttls=server_context) as office:
            url = f"smtp://{HOST}:{office.port}"
            mail._settings = replace(mail._settings, url=url)
            mail.send(message, AT)
        commands.append(" ".join(each for each in office.commands if each.startswith("rcpt")))

    assert [("ops@" in each, "ann@" in each) for each in commands] == [(True, False), (True, True)]


class Once(dict[str, str]):
    """Refuses each command once."""

    def __getitem__(self, key: str) -> str:
        return self.pop(key)


def test_a_server_that_does_not_answer(certificates: Certificates) -> None:
    with a_post_office() as office:
        pass

    with pytest.raises(UndeliveredError) as raised:
        a_mail(office, certificates).send(a_message(), AT)

    assert raised.value.why == f"{HOST} cannot be reached: Connection refused"


@pytest.mark.parametrize("encrypts", [False, True])
def test_a_server_whose_answer_never_ends_is_left_in_time(
    certificates: Certificates,
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    encrypts: bool,
) -> None:
    """Each line of it is in time."""
    monkeypatch.setattr(deadline, "WHOLE_SECONDS", 0.5)
    with a_post_office(starttls=server_context if encrypts else None) as office:
        office.trickles_at = "MAIL"
        with pytest.raises(UndeliveredError) as raised:
            a_mail(office, certificates).send(a_message(), AT)

    assert raised.value.why == f"{HOST} did not answer in time"


def test_a_mail_that_was_taken_is_not_sent_again_for_an_odd_goodbye(
    certificates: Certificates,
) -> None:
    with a_post_office() as office:
        office.refuses = {"QUIT": "421 too busy to say goodbye"}

        assert a_mail(office, certificates).send(a_message(), AT) == 250

    assert len(office.mails) == 1


def test_a_server_without_login(
    tmp_path: Path, certificates: Certificates, server_context: ssl.SSLContext
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    with a_post_office(starttls=server_context) as office:
        office.refuses = {"EHLO": "502 what?"}
        mail = a_mail(office, certificates, user="serinus", password_file=tmp_path / "password")
        with pytest.raises(UndeliveredError) as raised:
            mail.send(a_message(), AT)

    assert raised.value.why == f"{HOST} offers no login"
