from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.fakes import FakeDatabase
from tests.fakes.database import FakeStores
from tests.store.values import a_contact, an_app, an_event
from update_server.service.crashes.senders import with_senders
from update_server.service.ports import Contact, Event, Stores

KEY = b"tag-one!" + b"k" * 24
TAG = KEY[:8]


def a_report(install_key: bytes = TAG, **changes: Any) -> Event:
    event = an_event(
        install_key=install_key, kind="crash", phase=None, source="sdk", channel=None, body={"a": 1}
    )
    return replace(event, **changes)


def a_seen_install(**changes: Any) -> Contact:
    return replace(a_contact(), install_key=KEY, **changes)


@pytest.fixture
def stores() -> Iterator[FakeStores]:
    with FakeDatabase().transaction() as stores:
        stores.apps.add(an_app())
        yield stores


def test_a_tag_is_the_install_that_has_checked_in(stores: FakeStores) -> None:
    stores.telemetry.absorb([a_seen_install(channel="beta")], [])

    (found,) = with_senders(stores, [], [a_report()])

    assert (found.install_key, found.channel, found.platform) == (KEY, "beta", "linux-x86_64")


def test_what_the_token_said_of_the_channel_stays(stores: FakeStores) -> None:
    told = a_report(channel="stable", platform="macos-arm64")

    (found,) = with_senders(stores, [a_seen_install(channel="beta")], [told])

    assert (found.channel, found.platform) == ("stable", "macos-arm64")


@pytest.mark.parametrize("install_key", [TAG, KEY])
def test_a_check_in_of_the_same_batch_counts(stores: FakeStores, install_key: bytes) -> None:
    (found,) = with_senders(stores, [a_seen_install()], [a_report(install_key)])

    assert found.install_key == KEY


@pytest.mark.parametrize("install_key", [TAG, KEY])
@pytest.mark.parametrize("app", ["demo", "other"])
def test_what_never_checked_in_is_nobody(stores: FakeStores, install_key: bytes, app: str) -> None:
    elsewhere = [a_seen_install(app="other")] if app == "demo" else [a_seen_install()]
    (found,) = with_senders(stores, elsewhere, [a_report(install_key, app=app)])

    assert found.install_key == b""
    assert found.body == {"a": 1, "reporter": TAG.hex()}


def test_what_is_set_aside_keeps_no_trace_of_who_never_checked_in(stores: FakeStores) -> None:
    (found,) = with_senders(stores, [], [a_report(quarantine="expired_token")])

    assert (found.install_key, found.body) == (b"", {"a": 1})


@pytest.mark.parametrize(
    "event",
    [
        a_report(KEY, source="agent"),
        a_report(KEY, source="launch", kind="session"),
        a_report(KEY, kind="metric"),
        a_report(KEY, kind="update"),
        a_report(b"", body={"reporter": "ab"}),
    ],
)
def test_what_comes_with_a_whole_key_or_none_is_not_looked_up(event: Event) -> None:
    assert with_senders(cast("Stores", None), [a_seen_install()], [event]) == [event]
