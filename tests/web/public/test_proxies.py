from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.public_world import APP, LOW_BUCKET, World
from update_server.service.agents.pseudonyms import network_hash
from update_server.web.public.app import create_app
from update_server.web.public.proxies import Proxies

PROXIES = Proxies(["127.0.0.1", "10.0.0.0/8"])
PEPPER = b"p" * 32


def client_of(peer: str | None, forwarded: str | None = None) -> str | None:
    environ: dict[str, Any] = {} if peer is None else {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return PROXIES.client_of(environ)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # a peer that is no proxy of ours
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "192.0.2.1, 198.51.100.1,10.1.2.3", "198.51.100.1"),  # first one is a claim
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "192.0.2.1,198.51.100.1:4711", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1:80, 10.1.2.3:4711", "198.51.100.1"),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),  # nobody beyond our own network
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", " , ", "127.0.0.1"),
        ("", "198.51.100.1", None),
        (None, None, None),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_proxy_of_ours(
    peer: str | None, forwarded: str | None, client: str | None
) -> None:
    assert client_of(peer, forwarded) == client


def test_neighbours_share_a_network_and_others_do_not() -> None:
    here = network_hash(PEPPER, APP, "203.0.113.7")

    assert len(here) == 16
    assert network_hash(PEPPER, APP, "203.0.113.250") == here
    assert network_hash(PEPPER, APP, "::ffff:203.0.113.7") == here
    assert network_hash(PEPPER, APP, "203.0.114.7") != here
    assert network_hash(PEPPER, "other", "203.0.113.7") != here
    assert network_hash(b"q" * 32, APP, "203.0.113.7") != here


def test_a_network_of_ipv6_is_a_48() -> None:
    here = network_hash(PEPPER, APP, "2001:db8:1:2::3")

    assert network_hash(PEPPER, APP, "2001:db8:1:ffff::3") == here
    assert network_hash(PEPPER, APP, "2001:db8:2:2::3") != here


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.9.9.9", "unix:", ""])
def test_no_network_is_made_of_what_tells_nobody_apart(address: str) -> None:
    assert network_hash(PEPPER, APP, address) == b""


def test_what_is_no_address_is_one_network() -> None:
    made_up = network_hash(PEPPER, "demo", "a.b")

    assert made_up
    assert network_hash(PEPPER, "demo", "1.2.3.4.5") == made_up
    assert network_hash(PEPPER, "other", "a.b") != made_up


@pytest.mark.parametrize("fast_path", [True, False])
def test_a_check_in_notes_the_network_that_it_came_from(world: World, fast_path: bool) -> None:
    client: FlaskClient = create_app(world.services, fast_path=fast_path).test_client()

    answered = client.post(
        f"/v1/apps/{APP}/check-in",
        json={
            "install_id": LOW_BUCKET,
            "version": "2.0.0",
            "channel": "stable",
            "platform": "linux-x86_64",
        },
        environ_base={"REMOTE_ADDR": "203.0.113.7"},
    )

    assert answered.status_code == 200
    [contact] = world.contacts
    assert contact.network == network_hash(b"s" * 32, APP, "203.0.113.9")
    assert contact.bucket == 0
