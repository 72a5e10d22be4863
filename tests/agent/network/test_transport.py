from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from client_agent.config import NetworkSettings
from client_agent.errors import Code, ConfigError, NetworkError, TrustError
from client_agent.network.pace import LONG
from client_agent.network.proxies import Proxies, ProxyHeaders
from client_agent.network.transport import Transport, _redirected, origin_of
from tests.agent.agent_fakes import FakeClock
from tests.agent.web_server import Asked, Reply, WebServer


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def other() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


def transport(
    server: WebServer | str, clock: FakeClock | None = None, **network: object
) -> Transport:
    url = server if isinstance(server, str) else server.url
    return Transport(url, NetworkSettings(**network), clock or FakeClock())  # type: ignore[arg-type]


def test_a_get_returns_the_body_and_names_no_install(server: WebServer) -> None:
    server.on("/a", Reply(body=b"bytes"))

    body = transport(server).get(f"{server.url}/a", max_bytes=5)

    assert body == b"bytes"
    sent = server.asked[0].headers
    assert sent["accept-encoding"] == "identity"
    assert set(sent) <= {"host", "user-agent", "accept-encoding"}


def test_connections_are_used_again_within_a_visit(server: WebServer) -> None:
    server.on("/a", Reply(body=b"x"))
    visit = transport(server)

    for _ in range(3):
        visit.get(f"{server.url}/a", max_bytes=9)
    visit.close()

    assert len({asked.port for asked in server.asked}) == 1


def test_a_post_sends_json_and_returns_any_status(server: WebServer) -> None:
    server.on("/p", Reply(status=422, body=b'{"type": "x"}', headers={"Retry-After": "7"}))

    answer = transport(server).post(f"{server.url}/p", {"install_id": "i"})

    assert (answer.status, answer.body) == (422, b'{"type": "x"}')
    assert answer.retry_after_seconds == 7
    assert server.asked[0].body == b'{"install_id":"i"}'


@pytest.mark.parametrize("status", [201, 304, 403, 404, 500, 503])
def test_what_is_no_200_is_an_error_with_its_status(server: WebServer, status: int) -> None:
    server.on("/a", Reply(status=status, headers={"Retry-After": "120"}))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=5)

    assert caught.value.code is Code.HTTP_STATUS
    assert caught.value.status == status
    assert caught.value.retry_after_seconds == 120


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Sun, 22 Nov 2026 03:08:00 GMT", 60.0),
        ("Sun, 22 Nov 2020 03:08:00 GMT", 0.0),
        ("soon", None),
        ("Sun, 22 Nov 2026 03:08:00 +99999999999999", None),
        ("-5", None),
    ],
)
def test_retry_after_may_be_a_date_or_nonsense(
    server: WebServer, header: str, seconds: float | None
) -> None:
    server.on("/a", Reply(status=503, headers={"Retry-After": header}))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=5)

    assert caught.value.retry_after_seconds == seconds


def test_a_body_over_its_cap_is_given_up_one_byte_beyond(server: WebServer) -> None:
    server.on("/a", Reply(body=b"x" * 6))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=5)

    assert caught.value.code is Code.TOO_LARGE


def test_an_endless_body_is_given_up(server: WebServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    server.on("/a", lambda _: Reply(body=endless()))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=5000)

    assert caught.value.code is Code.TOO_LARGE


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 400),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            b"a: b\r\n" * 1000,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"e" * 60_000 + b"\r\nx\r\n",
        ),
    ],
    ids=["answers of 100", "trailers", "chunk extensions"],
)
def test_an_endless_answer_without_content_is_given_up(
    server: WebServer, head: bytes, block: bytes
) -> None:
    server.on("/a", Reply(raw=itertools.chain([head], itertools.repeat(block))))

    with pytest.raises(TrustError) as caught, transport(server).open(f"{server.url}/a") as stream:
        stream.read(1024 * 1024)

    assert caught.value.code is Code.TOO_SLOW


def test_any_content_encoding_is_refused(server: WebServer) -> None:
    server.on("/a", Reply(body=b"x", headers={"Content-Encoding": "gzip"}))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=5)

    assert caught.value.code is Code.UNEXPECTED_ANSWER


# --- slow peers --------------------------------------------------------------------------


def drip(clock: FakeClock, data: bytes, seconds: float) -> Iterator[bytes]:
    """Yield *data* byte by byte; each takes *seconds* of the test's clock."""
    for byte in data:
        clock.advance(seconds)
        yield bytes([byte])


def test_metadata_at_a_byte_per_29_seconds_is_too_slow(server: WebServer) -> None:
    clock = FakeClock()
    server.on("/a", lambda _: Reply(body=drip(clock, b"x" * 1000, 29)))

    with pytest.raises(TrustError) as caught:
        transport(server, clock).get(f"{server.url}/a", max_bytes=5000)

    assert caught.value.code is Code.TOO_SLOW


def test_headers_at_a_byte_per_29_seconds_are_too_slow(server: WebServer) -> None:
    clock = FakeClock()
    head = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 1000
    server.on("/a", lambda _: Reply(raw=drip(clock, head, 29)))

    with pytest.raises(TrustError) as caught:
        transport(server, clock).get(f"{server.url}/a", max_bytes=5000)

    assert caught.value.code is Code.TOO_SLOW


def test_an_artifact_below_four_kib_a_second_over_a_minute_is_too_slow(
    server: WebServer,
) -> None:
    clock = FakeClock()
    server.on("/a", lambda _: Reply(body=drip(clock, b"x" * 1000, 29)))

    with (
        pytest.raises(TrustError) as caught,
        transport(server, clock).open(f"{server.url}/a", limits=LONG) as stream,
    ):
        list(stream.chunks())

    assert caught.value.code is Code.TOO_SLOW


def test_a_large_artifact_at_a_decent_rate_may_take_its_time(server: WebServer) -> None:
    clock = FakeClock()

    def steady() -> Iterator[bytes]:
        for _ in range(5):  # more than a socket buffers, so that nobody runs ahead
            clock.advance(45)
            yield b"x" * 8_000_000

    server.on("/a", lambda _: Reply(body=steady()))

    with transport(server, clock).open(f"{server.url}/a", limits=LONG) as stream:
        length = sum(map(len, stream.chunks()))

    assert length == 40_000_000


# --- redirects ---------------------------------------------------------------------------


def redirect(url: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": url})


def test_a_redirect_within_the_server_is_followed(server: WebServer) -> None:
    server.on("/a", redirect("/b"))
    server.on("/b", Reply(body=b"there"))

    assert transport(server).get(f"{server.url}/a", max_bytes=9) == b"there"


def test_a_redirect_to_a_mirror_is_followed_without_the_credential(
    server: WebServer, other: WebServer
) -> None:
    server.on("/a", redirect(f"{other.url}/b"))
    other.on("/b", Reply(body=b"there"))
    visit = transport(server, mirrors=(other.url,))

    with visit.open(f"{server.url}/a", {"Authorization": "Bearer secret"}) as stream:
        body = stream.read(9)

    assert body == b"there"
    assert server.asked[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in other.asked[0].headers


def test_a_redirect_to_any_other_host_is_refused(server: WebServer, other: WebServer) -> None:
    server.on("/a", redirect(f"{other.url}/b"))

    with pytest.raises(TrustError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=9)

    assert caught.value.code is Code.REDIRECT
    assert other.asked == []


def test_an_install_id_is_never_redirected_to_a_mirror(server: WebServer, other: WebServer) -> None:
    server.on("/p", redirect(f"{other.url}/p", 307))

    with pytest.raises(TrustError):
        transport(server, mirrors=(other.url,)).post(f"{server.url}/p", {})

    assert other.asked == []


def test_a_post_is_redirected_only_as_a_post(server: WebServer) -> None:
    server.on("/p", redirect("/q", 308))
    server.on("/q", lambda asked: Reply(body=asked.body))
    server.on("/r", redirect("/q", 302))
    visit = transport(server)

    assert visit.post(f"{server.url}/p", {}).body == b"{}"
    with pytest.raises(TrustError):
        visit.post(f"{server.url}/r", {})


def test_a_fourth_redirect_is_one_too_many(server: WebServer) -> None:
    for step in range(4):
        server.on(f"/{step}", redirect(f"/{step + 1}"))
    server.on("/4", Reply(body=b"x"))
    visit = transport(server)

    assert visit.get(f"{server.url}/1", max_bytes=9) == b"x"
    with pytest.raises(TrustError) as caught:
        visit.get(f"{server.url}/0", max_bytes=9)

    assert caught.value.code is Code.REDIRECT


@pytest.mark.parametrize("target", ["http://[bad", "ftp://127.0.0.1/", "//127.0.0.1:1/x"])
def test_a_redirect_to_nonsense_or_another_scheme_or_port_is_refused(
    server: WebServer, target: str
) -> None:
    server.on("/a", redirect(target))

    with pytest.raises(TrustError):
        transport(server).get(f"{server.url}/a", max_bytes=9)


def test_https_never_becomes_http_even_on_the_same_host() -> None:
    url = "https://updates.example.org/a"

    with pytest.raises(TrustError) as caught:
        _redirected(url, "http://updates.example.org/a", {("http", "updates.example.org", 80)})

    assert caught.value.code is Code.REDIRECT


# --- where it may go at all --------------------------------------------------------------


def test_http_to_another_machine_needs_an_unsafe_setting() -> None:
    with pytest.raises(NetworkError) as caught:
        transport("http://updates.example.org").get("http://updates.example.org/", max_bytes=1)

    assert caught.value.code is Code.UNSAFE_URL


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        with pytest.raises(NetworkError) as caught:
            transport(url).get(f"{url}/", max_bytes=1)

    assert caught.value.code is Code.UNREACHABLE


def test_an_answer_that_breaks_off_is_an_error(server: WebServer) -> None:
    server.on("/a", Reply(body=b"four", headers={"Content-Length": "9"}))

    with pytest.raises(NetworkError) as caught:
        transport(server).get(f"{server.url}/a", max_bytes=9)

    assert caught.value.code is Code.UNREACHABLE


def test_a_proxy_is_asked_for_other_machines_and_never_for_this_one(
    server: WebServer, other: WebServer
) -> None:
    proxy = server
    proxy.default = lambda asked: Reply(body=asked.path.encode())
    other.on("/a", Reply(body=b"direct"))
    visit = transport(other, proxy=proxy.url, unsafe_allow_http=True)

    assert visit.get("http://files.invalid/x", max_bytes=99) == b"http://files.invalid/x"
    assert visit.get(f"{other.url}/a", max_bytes=99) == b"direct"


@pytest.mark.parametrize(
    ("proxies", "host", "expected"),
    [
        ({"https": "http://p:1"}, "u.example.org", "http://p:1"),
        ({"https": "p:1"}, "u.example.org", "http://p:1"),
        ({"all": "http://q:2"}, "u.example.org", "http://q:2"),
        ({"https": "http://p:1", "no": "example.org"}, "u.example.org", ""),
        ({"https": "http://p:1", "no": ".example.org,x"}, "U.example.org", ""),
        ({"https": "http://p:1", "no": "ample.org"}, "u.example.org", "http://p:1"),
        ({"https": "http://p:1", "no": "*"}, "u.example.org", ""),
        ({"https": "http://p:1", "no": "*.example.org"}, "u.example.org", ""),
        ({"https": "http://p:1", "no": "10.*"}, "10.1.2.3", ""),
        ({"https": "http://p:1", "no": "10.0.0.0/8"}, "10.1.2.3", ""),
        ({"https": "http://p:1", "no": "10.0.0.0/8"}, "u.example.org", "http://p:1"),
        ({"https": "http://p:1", "no": "169.254/16"}, "169.254.1.1", "http://p:1"),
        ({"https": "http://p:1", "no": "<local>"}, "intranet", ""),
        ({"https": "http://p:1", "no": "<local>"}, "u.example.org", "http://p:1"),
        ({}, "u.example.org", ""),
    ],
)
def test_the_systems_proxies_and_their_exceptions_are_kept(
    proxies: dict[str, str], host: str, expected: str
) -> None:
    visit = Transport("https://u", NetworkSettings(), FakeClock(), system_proxies=lambda: proxies)

    assert visit._proxies.for_url(f"https://{host}/x") == expected


def test_what_was_set_comes_before_the_systems_proxies() -> None:
    proxies = Proxies(explicit="http://mine:1", system=lambda: {"https": "http://p:1"})

    assert proxies.for_url("https://u.example.org/") == "http://mine:1"
    assert Proxies(explicit="mine:1").for_url("https://u.example.org/") == "http://mine:1"


@pytest.mark.parametrize("proxy", ["http://me:secret@[p", "me:secret", "http://me:secret@"])
def test_a_proxy_that_is_no_url_is_an_error_that_tells_no_password(proxy: str) -> None:
    with pytest.raises(NetworkError) as caught:
        through(proxy).get(URL, max_bytes=9)

    assert caught.value.code is Code.PROXY_REFUSED
    assert "secret" not in repr(caught.value)


class Gate:
    """A proxy that lets in whoever shows the right ticket, and answers everything itself."""

    def __init__(self, server: WebServer) -> None:
        self.ticket = "Basic bWU6cCZ3"  # me:p&w
        self.seen: list[str] = []
        server.default = self.answer

    def answer(self, asked: Asked) -> Reply:
        self.seen.append(asked.headers.get("proxy-authorization", ""))
        if self.seen[-1] != self.ticket:
            return Reply(status=407, headers={"Proxy-Authenticate": "Basic"})
        return Reply(body=b"inside")


URL = "http://files.invalid/x"


def through(proxy: str, headers: ProxyHeaders | None = None) -> Transport:
    network = NetworkSettings(proxy=proxy, unsafe_allow_http=True)
    return Transport("https://u", network, FakeClock(), proxy_headers=headers)


def test_the_user_in_a_proxys_url_is_who_we_are_to_it(server: WebServer) -> None:
    gate = Gate(server)
    proxy = server.url.replace("http://", "http://me:p%26w@")

    assert through(proxy).get(URL, max_bytes=9) == b"inside"
    assert gate.seen == [gate.ticket]


def test_a_proxy_that_knows_us_not_is_named_and_no_ticket_is_told(server: WebServer) -> None:
    Gate(server)

    with pytest.raises(NetworkError) as caught:
        through(server.url.replace("http://", "http://me:secret@")).get(URL, max_bytes=9)

    assert caught.value.code is Code.PROXY_REFUSED
    assert "secret" not in str(caught.value)


def test_the_apps_hook_is_asked_again_when_its_ticket_is_refused(server: WebServer) -> None:
    gate = Gate(server)
    tickets = iter(["Negotiate old", gate.ticket, "never"])
    asked: list[str] = []

    def headers(proxy: str) -> dict[str, str]:
        asked.append(proxy)
        return {"Proxy-Authorization": next(tickets)}

    assert through(server.url, headers).get(URL, max_bytes=9) == b"inside"
    assert asked == [server.url, server.url]
    assert gate.seen == ["Negotiate old", gate.ticket]


def test_a_hook_that_raises_is_a_proxy_that_cannot_be_asked(server: WebServer) -> None:
    def headers(_proxy: str) -> dict[str, str]:
        raise LookupError

    with pytest.raises(NetworkError) as caught:
        through(server.url, headers).get(URL, max_bytes=9)

    assert caught.value.code is Code.PROXY_REFUSED


def test_a_ticket_that_is_no_header_is_an_error_that_does_not_tell_it(server: WebServer) -> None:
    with pytest.raises(NetworkError) as caught:
        through(server.url, lambda _: {"Proxy-Authorization": "Negotiate secret\n"}).get(
            URL, max_bytes=9
        )

    assert caught.value.code is Code.PROXY_REFUSED
    assert "secret" not in repr(caught.value)


def test_a_tunnel_that_is_refused_is_asked_for_with_another_ticket() -> None:
    with Tunnels() as tunnels:
        tickets = iter(["old", "new"])
        visit = Transport(
            "https://u",
            NetworkSettings(proxy=tunnels.url),
            FakeClock(),
            proxy_headers=lambda _: {"Proxy-Authorization": next(tickets)},
        )

        with pytest.raises(NetworkError) as caught:
            visit.get("https://files.invalid/x", max_bytes=9)

        assert tunnels.tickets == ["old", "new"]
        assert caught.value.code is Code.PROXY_REFUSED


class Tunnels:
    """A proxy that refuses every tunnel, and notes the tickets."""

    def __init__(self) -> None:
        self.tickets: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        for _ in range(2):
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as lines:
                for line in iter(lines.readline, b"\r\n"):
                    if line.lower().startswith(b"proxy-authorization:"):
                        self.tickets.append(line.decode().split(":", 1)[1].strip())
                refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                connection.sendall(refusal + b"Content-Length: 0\r\n\r\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._listener.close()


def test_certificates_that_cannot_be_read_are_named() -> None:
    visit = transport("https://localhost:1", ca_file="/nowhere/ca.pem")

    with pytest.raises(ConfigError) as caught:
        visit.get("https://localhost:1/", max_bytes=1)

    assert caught.value.key == "network.ca_file"


def test_a_server_without_tls_is_no_https_server(server: WebServer) -> None:
    url = server.url.replace("http:", "https:")

    with pytest.raises(NetworkError) as caught:
        transport(url).get(f"{url}/", max_bytes=1)

    assert caught.value.code is Code.UNREACHABLE


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("https://A.example/x") == ("https", "a.example", 443)
    assert origin_of("http://a.example:81/x") == ("http", "a.example", 81)


def test_what_a_request_says_is_seen(server: WebServer) -> None:
    server.on("/a", lambda asked: Reply(body=asked.method.encode()))

    assert transport(server).get(f"{server.url}/a", max_bytes=9) == b"GET"
    assert isinstance(server.asked[0], Asked)
