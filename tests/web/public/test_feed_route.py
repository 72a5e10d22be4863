"""What everybody may read of an app's rollouts, where its operators say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from flask.testing import FlaskClient

from tests.notify.messages import a_message
from tests.public_world import World
from update_server.service.notices.feed import KEPT_SECONDS, MOST_ENTRIES
from update_server.service.ports.settings import AppSettings

PATH = "/v1/apps/demo/rollouts.atom"
ATOM = {"a": "http://www.w3.org/2005/Atom"}
AT = datetime(2026, 12, 1, 3, 7, 0, 250_000, tzinfo=UTC)


def open_to_all(world: World, *messages: Any) -> None:
    with world.database.transaction() as stores:
        stores.settings.put("demo", AppSettings(atom=True))
        for message in messages:
            stores.outbox.add(message)
        stores.apps.bump("demo")
    world.refresh()


def feed_of(client: FlaskClient) -> ET.Element:
    response = client.get(PATH)
    assert response.status_code == 200
    assert response.content_type == "application/atom+xml; charset=utf-8"
    return ET.fromstring(response.data)


def texts(feed: ET.Element, path: str) -> list[str]:
    return [each.text or "" for each in feed.findall(path, ATOM)]


def test_nobody_reads_it_unless_an_operator_says_so(world: World, client: FlaskClient) -> None:
    with world.database.transaction() as stores:
        stores.outbox.add(a_message())
    world.refresh()

    assert client.get(PATH).status_code == 404


def test_of_an_app_that_there_is_not_there_is_none(client: FlaskClient) -> None:
    assert client.get("/v1/apps/nobody/rollouts.atom").status_code == 404


def test_a_feed_tells_each_change_newest_first(world: World, client: FlaskClient) -> None:
    paused = a_message(id="msg_2", at=AT)
    started = a_message(
        id="msg_1", at=AT - timedelta(hours=7), type="serinus.rollout.started", state="active"
    )
    open_to_all(world, started, paused)

    feed = feed_of(client)

    assert texts(feed, "a:entry/a:title") == [
        "Paused: 2.4.0 on stable, ring 10 %",
        "Started: 2.4.0 on stable, ring 10 %",
    ]
    assert texts(feed, "a:entry/a:updated") == [
        "2026-12-01T03:07:00.250Z",
        "2026-11-30T20:07:00.250Z",
    ]
    assert texts(feed, "a:updated") == ["2026-12-01T03:07:00.250Z"]
    terms = [each.get("term") for each in feed.findall("a:entry/a:category", ATOM)]
    assert terms == ["paused", "started"]


def test_a_feed_has_all_that_atom_asks_for(world: World, client: FlaskClient) -> None:
    open_to_all(world, a_message())

    feed = feed_of(client)

    # RFC 4287, 4.1.1 and 4.1.2: exactly one each, and an author of the whole.
    for name in ("id", "title", "updated"):
        assert len(texts(feed, f"a:{name}")) == len(texts(feed, f"a:entry/a:{name}")) == 1
        assert texts(feed, f"a:{name}")[0]
    assert texts(feed, "a:author/a:name") == ["demo"]
    assert feed.tag == f"{{{ATOM['a']}}}feed"
    links = [(each.get("rel"), each.get("href")) for each in feed.findall("a:link", ATOM)]
    assert links == [("self", "rollouts.atom")]
    ids = texts(feed, "a:id") + texts(feed, "a:entry/a:id")
    assert all(each.startswith("urn:uuid:") for each in ids)
    assert len(set(ids)) == 2
    assert ids == texts(feed_of(client), "a:id") + texts(feed_of(client), "a:entry/a:id")


def test_an_automatic_change_tells_its_evidence(world: World, client: FlaskClient) -> None:
    open_to_all(world, a_message(sentence="Paused 2.4.0: 44 of 3,900 <b>crashed</b> & so on."))

    assert texts(feed_of(client), "a:entry/a:content") == [
        "Paused 2.4.0: 44 of 3,900 <b>crashed</b> & so on."
    ]


def test_who_changed_something_and_why_is_the_operators_own(
    world: World, client: FlaskClient
) -> None:
    message = a_message(
        actor="Ann",
        text="demo, stable, 03:07 UTC, by Ann. Paused 2.4.0 at ring 10 %: secret-plan.",
        sentence="Paused 2.4.0 at ring 10 %: secret-plan.",
    )
    open_to_all(world, message)

    body = client.get(PATH).data

    assert b"Ann" not in body
    assert b"secret-plan" not in body
    assert texts(ET.fromstring(body), "a:entry/a:content") == ["Paused: 2.4.0 on stable, ring 10 %"]


def test_nothing_that_is_no_text_breaks_the_feed(world: World, client: FlaskClient) -> None:
    open_to_all(world, a_message(ring="ri\x07ng", sentence="Paused\x1b[2J at ri\x07ng."))

    assert texts(feed_of(client), "a:entry/a:content") == ["Paused[U+001B][2J at ri[U+0007]ng."]


def test_only_changes_of_rollouts_are_told_and_not_too_many(
    world: World, client: FlaskClient
) -> None:
    many = [a_message(id=f"msg_{number}", at=AT) for number in range(MOST_ENTRIES + 1)]
    open_to_all(
        world,
        *many,
        a_message(id="msg_a", type="serinus.alert.no_verdict"),
        a_message(id="msg_b", app="other"),
        a_message(id="msg_c", type="serinus.rollout.paused", rollout=""),
    )

    titles = texts(feed_of(client), "a:entry/a:title")

    assert titles == ["Paused: 2.4.0 on stable, ring 10 %"] * MOST_ENTRIES


def test_an_empty_feed_is_one(world: World, client: FlaskClient) -> None:
    open_to_all(world)

    assert texts(feed_of(client), "a:updated") == ["1970-01-01T00:00:00.000Z"]


def test_the_database_is_asked_now_and_then_however_often_others_ask(
    world: World, client: FlaskClient
) -> None:
    open_to_all(world, a_message())
    first = client.get(PATH).data
    open_to_all(world, a_message(id="msg_2"))

    assert client.get(PATH).data == first
    world.clock.sleep(KEPT_SECONDS)
    assert client.get(PATH).data != first


def test_whoever_has_it_already_is_told_so(world: World, client: FlaskClient) -> None:
    open_to_all(world, a_message())
    first = client.get(PATH)

    again = client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    open_to_all(world, a_message(id="msg_2"))
    world.clock.sleep(KEPT_SECONDS)
    changed = client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert changed.status_code == 200
    assert first.headers["ETag"] != changed.headers["ETag"]
    assert first.headers["Cache-Control"] == "public, max-age=60"
