"""Where messages may go, and where they may not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.notify.certificates import Certificates
from tests.notify.receiver import Receiver, a_receiver
from update_server.notify import deadline
from update_server.notify import network as networks
from update_server.notify.network import Network, Place, is_public, why_failed
from update_server.service.ports.outbox import UndeliveredError

HTTP = frozenset({"https", "http"})
SECRET_PATH = "/services/T000/B000/secret-part"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@dataclass
class Names:
    """A resolver that gives its answers in turn, the last one for good, and counts questions."""

    answers: list[Sequence[str]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refusal(act: Callable[[], object]) -> UndeliveredError:
    with pytest.raises(UndeliveredError) as raised:
        act()
    assert "secret" not in raised.value.why
    return raised.value


# --- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # what clouds keep credentials at
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",  # what fc00::/7 was before; routers pass it on
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",  # 127.0.0.1 behind NAT64
        "2002:7f00:1::",  # 127.0.0.1 by 6to4
        "2001:db8::1",
        "not an address",
    ],
)
def test_no_message_goes_to_an_address_that_not_everybody_reaches(address: str) -> None:
    assert not is_public(address)
    network = Network(resolve=Names([[address]]))

    error = refusal(lambda: network.find(f"https://hooks.example.com{SECRET_PATH}", HTTP, ()))

    assert error.why == "hooks.example.com is a private address, and not in allow_private"


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_fine(address: str) -> None:
    place = Network(resolve=Names([[address]])).find("https://hooks.example.com/x?y=1", HTTP, ())

    assert (place.address, place.host, place.port) == (address, "hooks.example.com", 443)
    assert place.target == "/x?y=1"


def test_one_private_address_among_public_ones_is_too_many() -> None:
    network = Network(resolve=Names([["93.184.216.34", "10.0.0.1"]]))

    refusal(lambda: network.find("https://hooks.example.com/", HTTP, ()))


def test_what_is_allowed_by_name_may_be_private_and_unencrypted() -> None:
    network = Network(resolve=Names([["10.0.0.1"]]))

    place = network.find("http://Hooks.internal:8080", HTTP, ("hooks.INTERNAL",))

    assert (place.address, place.host_header, place.target) == (
        "10.0.0.1",
        "hooks.internal:8080",
        "/",
    )
    refusal(lambda: network.find("http://other.internal/", HTTP, ("hooks.internal",)))


def test_without_tls_nothing_goes_out_unless_allowed() -> None:
    network = Network(resolve=Names([["93.184.216.34"]]))

    error = refusal(lambda: network.find(f"http://hooks.example.com{SECRET_PATH}", HTTP, ()))

    assert error.why == "http is only for hosts in allow_private"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://hooks.example.com/", "the address does not begin with http:// or https://"),
        ("file:///etc/passwd", "the address does not begin with http:// or https://"),
        ("https://", "the address does not begin with http:// or https://"),
        ("https://ann:secret@hooks.example.com/", "the address names a user"),
        ("https://hooks.example.com:99999/", "the address has no port that exists"),
    ],
)
def test_what_is_no_address_of_a_receiver(url: str, why: str) -> None:
    assert refusal(lambda: Network().find(url, HTTP, ())).why.startswith(why)


def test_a_name_that_leads_nowhere() -> None:
    nobody = Network(resolve=Names([[]]))

    def ask(network: Network) -> str:
        return refusal(lambda: network.find("https://gone.invalid/", HTTP, ())).why

    assert ask(nobody) == ask(Network(resolve=unknown)) == "gone.invalid has no address"


def test_the_system_is_asked_for_addresses() -> None:
    assert "127.0.0.1" in networks.resolve("localhost", 80)


def test_an_address_with_colons_is_bracketed() -> None:
    place = Network(resolve=Names([["::1"]])).find("http://[::1]:8080/", HTTP, ("::1",))

    assert place.host_header == "[::1]:8080"


def unknown(*_: object) -> Sequence[str]:
    raise socket.gaierror(8, "nodename nor servname provided")


# --- rebinding ----------------------------------------------------------------------------


def test_a_name_that_leads_elsewhere_a_moment_later_changes_nothing(receiver: Receiver) -> None:
    """The first answer is what is checked and what is connected to; nobody asks again."""
    names = Names([["93.184.216.34"], ["127.0.0.1"]])
    network = Network(resolve=names)
    place = network.find(f"https://rebound.example.com:{receiver.port}/", HTTP, ())
    connected: list[str] = []

    def refuse(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib3.util.connection.create_connection", refuse)
        error = refusal(lambda: network.post(place, b"{}", {}))

    assert connected == ["93.184.216.34"]
    assert names.asked == ["rebound.example.com"]
    assert error.why == "rebound.example.com cannot be reached: Connection refused"
    assert receiver.came.empty()


def test_control_the_same_name_reaches_loopback_when_it_is_allowed(receiver: Receiver) -> None:
    names = Names([["127.0.0.1"]])
    network = Network(resolve=names)
    place = network.find(f"http://hooks.internal:{receiver.port}/x", HTTP, ("hooks.internal",))

    assert network.post(place, b"{}", {"X-Own": "yes"}) == 204

    received = receiver.next()
    assert received.headers["host"] == f"hooks.internal:{receiver.port}"
    assert received.headers["x-own"] == "yes"
    assert names.asked == ["hooks.internal"]


# --- answers ------------------------------------------------------------------------------


def post(receiver: Receiver) -> int:
    network = Network(resolve=Names([["127.0.0.1"]]))
    url = f"http://hooks.internal:{receiver.port}{SECRET_PATH}"
    return network.post(network.find(url, HTTP, ("hooks.internal",)), b"{}", {})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with a_receiver() as inside:
        receiver.answers = [(status, {"Location": inside.url})]

        error = refusal(lambda: post(receiver))

        assert error.why == f"hooks.internal answered {status}: redirects are not followed"
        assert error.status == status
        assert inside.came.empty()


@pytest.mark.parametrize(
    ("told", "wish"), [({}, None), ({"Retry-After": "90"}, 90.0), ({"Retry-After": "soon"}, None)]
)
def test_a_receiver_that_does_not_take_it_says_when_to_come_again(
    receiver: Receiver, told: dict[str, str], wish: float | None
) -> None:
    receiver.answers = [(429, told)]

    error = refusal(lambda: post(receiver))

    assert (error.why, error.status, error.retry_seconds) == (
        "hooks.internal answered 429",
        429,
        wish,
    )


def test_a_proxy_of_the_surroundings_is_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert post(receiver) == 204


def test_a_receiver_that_never_answers_is_left(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "ANSWER_SECONDS", 0.2)
    receiver.gate.clear()

    assert refusal(lambda: post(receiver)).why == "hooks.internal did not answer in time"


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_receiver_that_trickles_its_answer_is_left_in_time(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    """Each byte is in time, and all of them would take hours."""
    monkeypatch.setattr(deadline, "WHOLE_SECONDS", 0.5)
    with a_trickle(b"HTTP/1.1 2", certificates, is_encrypted) as port:
        error = refusal(lambda: post_to(port, certificates, is_encrypted))

    assert error.why == "hooks.example.com did not answer in time"


@pytest.mark.parametrize("rest", [b"X: ", b"Content-Length: 4000\r\n\r\n"])
def test_a_receiver_that_took_it_may_trickle_what_nobody_reads(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(deadline, "WHOLE_SECONDS", 0.5)
    answer = b"HTTP/1.1 200 OK\r\n" + rest
    with a_trickle(answer, certificates, is_encrypted=False) as port:
        assert post_to(port, certificates, is_encrypted=False) == 200


def post_to(port: int, certificates: Certificates, is_encrypted: bool) -> int:
    network = Network(resolve=Names([["127.0.0.1"]]), trust=certificates.trust)
    scheme = "https" if is_encrypted else "http"
    url = f"{scheme}://hooks.example.com:{port}/"
    return network.post(network.find(url, HTTP, ("hooks.example.com",)), b"{}", {})


@contextmanager
def a_trickle(answer: bytes, certificates: Certificates, is_encrypted: bool) -> Iterator[int]:
    """Begin to answer one request, and go on byte by byte until the other end has had enough."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    listener = socket.create_server(("127.0.0.1", 0))
    enough = threading.Event()

    def trickle() -> None:
        with suppress(OSError), ExitStack() as stack:
            connection = stack.enter_context(listener.accept()[0])
            if is_encrypted:
                connection = stack.enter_context(context.wrap_socket(connection, server_side=True))
            connection.recv(65_536)
            connection.sendall(answer)
            while not enough.wait(0.05):
                connection.sendall(b".")

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        enough.set()
        listener.close()
        thread.join(10)


def test_nobody_listens() -> None:
    with a_receiver() as gone:
        pass

    assert refusal(lambda: post(gone)).why == "hooks.internal cannot be reached: Connection refused"


def test_whatever_else_happens_is_told_without_what_it_says() -> None:
    place = Place(
        scheme="https", host="h", port=1, address="a", target=SECRET_PATH, is_allowed=False
    )

    assert why_failed(place, RuntimeError(SECRET_PATH)) == "h broke the connection off"
    assert why_failed(place, ssl.SSLError(1, SECRET_PATH)) == "h does not speak TLS as it should"


# --- TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"), "hooks.example.com")


def serve_tls(certificates: Certificates) -> tuple[int, list[str | None]]:
    """Answer one request with TLS; return the port, and where the name that was asked for goes."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.sni_callback = lambda _, name, __: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        try:
            with listener, context.wrap_socket(listener.accept()[0], server_side=True) as server:
                while b"{}" not in server.recv(65_536):
                    pass
                server.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        except OSError:
            pass

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1], names


def test_tls_is_with_the_name_and_at_the_address(certificates: Certificates) -> None:
    port, names = serve_tls(certificates)
    network = Network(resolve=Names([["127.0.0.1"]]), trust=certificates.trust)
    place = network.find(f"https://hooks.example.com:{port}/", HTTP, ("hooks.example.com",))

    assert network.post(place, b"{}", {}) == 204

    assert names == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("host", "trusts", "why"),
    [
        ("other.example.com", True, "other.example.com cannot prove who it is: Hostname mismatch"),
        ("hooks.example.com", False, "hooks.example.com cannot prove who it is: "),
    ],
)
def test_who_cannot_prove_its_name_gets_nothing(
    certificates: Certificates, host: str, trusts: bool, why: str
) -> None:
    port, _ = serve_tls(certificates)
    trust = certificates.trust if trusts else networks.trusted
    network = Network(resolve=Names([["127.0.0.1"]]), trust=trust)
    place = network.find(f"https://{host}:{port}/", HTTP, (host,))

    assert refusal(lambda: network.post(place, b"{}", {})).why.startswith(why)


def test_the_readme_of_the_folder_names_the_table() -> None:
    folder = Path(networks.__file__).parent

    assert "NOTIFIERS" in (folder / "README.md").read_text()
