"""Contract of outbox_ports.Outbox and Alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.store.values import NOW
from update_server.service.ports import Database, NotFoundError, ReadOnlyError
from update_server.service.ports.outbox import (
    Alert,
    Attempt,
    Delivery,
    DeliveryState,
    Level,
    Message,
)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def a_message(number: int = 1, **changes: Any) -> Message:
    message = Message(
        id=f"msg_{number}",
        at=NOW,
        type="serinus.rollout.paused",
        level=Level.PAGES,
        subject="PAUSED demo 2.1.0 ring 10%: 44/3,900 crashed vs 176/35,100",
        text="demo, stable, 03:07 UTC, automatic. Paused 2.1.0. It stays paused.",
        sentence="Paused 2.1.0.",
        app="demo",
        channel="stable",
        rollout="ro_7k2m",
        version="2.1.0",
        ring="10%",
        state="paused",
        actor="serinus",
        decision={"id": "de_1", "log_e": 7.5, "waivers": []},
        alert="al_1",
        resolves=("al_0",),
    )
    return replace(message, **changes)


def an_alert(name: str = "al_1", **changes: Any) -> Alert:
    alert = Alert(
        id=name,
        app="demo",
        rollout="ro_7k2m",
        ring="10%",
        reason="paused",
        message="msg_1",
        opened_at=NOW,
    )
    return replace(alert, **changes)


def add(database: Database, *messages: Message) -> None:
    with database.transaction() as stores:
        for message in messages:
            stores.outbox.add(message)


def route(database: Database, message: str = "msg_1", targets: Sequence[str] = ("ops",)) -> None:
    with database.transaction() as stores:
        stores.outbox.route(message, targets, NOW)


def due(database: Database, target: str = "ops", *, after: timedelta = SECOND) -> list[Delivery]:
    with database.reading() as stores:
        return list(stores.outbox.due(target, NOW + after, 100))


def note(database: Database, delivery: Delivery, state: DeliveryState, **tried: Any) -> None:
    told: dict[str, Any] = {"number": delivery.attempts + 1, "at": NOW + SECOND, **tried}
    with database.transaction() as stores:
        due_at = NOW + 10 * SECOND
        stores.outbox.note(delivery, Attempt(**told), state, due_at)


# --- messages -----------------------------------------------------------------------------


def test_a_message_comes_back_as_it_was(database: Database) -> None:
    add(database, a_message())

    with database.reading() as stores:
        assert stores.outbox.get("msg_1") == a_message()
        assert list(stores.outbox.unrouted(10)) == [a_message()]


def test_a_message_is_stored_once(database: Database) -> None:
    add(database, a_message(), a_message(subject="another"))
    add(database, a_message(subject="a third"))

    with database.reading() as stores:
        assert list(stores.outbox.unrouted(10)) == [a_message()]


def test_what_is_rolled_back_was_not_said(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as stores:
            stores.outbox.add(a_message())
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError):
        fail()

    with database.reading() as stores:
        assert not stores.outbox.unrouted(10)


def test_messages_come_in_order_and_no_more_than_asked_for(database: Database) -> None:
    add(database, *(a_message(number) for number in (3, 1, 2)))

    with database.reading() as stores:
        assert [each.id for each in stores.outbox.unrouted(2)] == ["msg_3", "msg_1"]


def test_an_unknown_message_is_not_found(database: Database) -> None:
    with database.reading() as stores:
        with pytest.raises(NotFoundError):
            stores.outbox.get("msg_9")
        with pytest.raises(NotFoundError):
            stores.outbox.targets_of("msg_9")
    with pytest.raises(NotFoundError):
        route(database, "msg_9")


def test_the_newest_messages_about_rollouts_of_an_app(database: Database) -> None:
    add(database, a_message(1), a_message(2, rollout=""), a_message(3, app="other"), a_message(4))

    with database.reading() as stores:
        assert [each.id for each in stores.outbox.about("demo", 10)] == ["msg_4", "msg_1"]
        assert [each.id for each in stores.outbox.about("demo", 1)] == ["msg_4"]


def test_text_in_any_language_is_kept(database: Database) -> None:
    add(database, a_message(text="Пауза 🛑 \\u0000", decision=None))

    with database.reading() as stores:
        assert stores.outbox.get("msg_1").text == "Пауза 🛑 \\u0000"
        assert stores.outbox.get("msg_1").decision is None


def test_nothing_is_written_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.outbox.add(a_message())
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.alerts.open(an_alert())


# --- deliveries ---------------------------------------------------------------------------


def test_a_routed_message_is_due_at_each_of_its_targets(database: Database) -> None:
    add(database, a_message())
    route(database, targets=["ops", "chat", "ops"])

    [delivery] = due(database)
    assert (delivery.message, delivery.state) == (a_message(), DeliveryState.PENDING)
    assert (delivery.attempts, delivery.created_at, delivery.due_at) == (0, NOW, NOW)
    assert len(due(database, "chat")) == 1
    assert due(database, "boss") == []
    with database.reading() as stores:
        assert list(stores.outbox.unrouted(10)) == []
        assert list(stores.outbox.targets_of("msg_1")) == ["chat", "ops"]


def test_a_message_to_nobody_is_routed_as_well(database: Database) -> None:
    add(database, a_message())
    route(database, targets=[])

    with database.reading() as stores:
        assert list(stores.outbox.unrouted(10)) == []
        assert list(stores.outbox.targets_of("msg_1")) == []


def test_a_message_goes_to_further_targets_and_never_twice_to_one(database: Database) -> None:
    add(database, a_message())
    route(database, targets=["ops"])
    [delivery] = due(database)
    note(database, delivery, DeliveryState.DELIVERED, status=204)

    route(database, targets=["ops", "boss"])

    assert due(database, "ops") == []
    assert len(due(database, "boss")) == 1


def test_deliveries_are_due_in_the_order_of_their_messages(database: Database) -> None:
    add(database, a_message(2), a_message(1))
    route(database, "msg_2")
    route(database, "msg_1")

    assert [each.message.id for each in due(database)] == ["msg_2", "msg_1"]
    with database.reading() as stores:
        assert len(stores.outbox.due("ops", NOW, 1)) == 1


def test_a_failed_delivery_is_due_again_when_its_wait_is_over(database: Database) -> None:
    add(database, a_message())
    route(database)
    [delivery] = due(database)

    note(database, delivery, DeliveryState.PENDING, status=503, error="it answered 503")

    assert due(database, after=9 * SECOND) == []
    [again] = due(database, after=10 * SECOND)
    assert (again.attempts, again.status, again.error) == (1, 503, "it answered 503")
    assert again.done_at is None


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.DEAD])
def test_a_delivery_that_is_over_is_never_due(database: Database, state: DeliveryState) -> None:
    add(database, a_message())
    route(database)
    [delivery] = due(database)

    note(database, delivery, state)

    assert due(database, after=DAY) == []
    with database.reading() as stores:
        [seen] = stores.outbox.page(None, None, 10)
    assert (seen.state, seen.done_at) == (state, NOW + SECOND)


def test_every_try_is_in_the_log(database: Database) -> None:
    add(database, a_message())
    route(database)
    [delivery] = due(database)
    note(database, delivery, DeliveryState.PENDING, error="it timed out")
    [delivery] = due(database, after=DAY)
    note(database, delivery, DeliveryState.DELIVERED, status=200, at=NOW + 11 * SECOND)

    with database.reading() as stores:
        assert list(stores.outbox.attempts(delivery.number)) == [
            Attempt(number=1, at=NOW + SECOND, error="it timed out"),
            Attempt(number=2, at=NOW + 11 * SECOND, status=200),
        ]
        assert list(stores.outbox.attempts(delivery.number + 1)) == []


def test_the_tries_of_many_deliveries_are_told_at_once(database: Database) -> None:
    add(database, a_message())
    route(database, targets=("desk", "ops", "untried"))
    with database.transaction() as stores:
        desk, ops, untried = stores.outbox.page(None, None, 3)[::-1]
        first = Attempt(number=1, at=NOW, status=503, error="it answered 503")
        second = Attempt(number=2, at=NOW + SECOND, status=200)
        for delivery, tried in ((desk, first), (ops, first), (desk, second)):
            stores.outbox.note(delivery, tried, DeliveryState.PENDING, NOW)

    with database.reading() as stores:
        found = stores.outbox.tries([desk.number, ops.number, untried.number])
        assert {number: list(tries) for number, tries in found.items()} == {
            desk.number: [first, second],
            ops.number: [first],
        }
        assert stores.outbox.tries([]) == {}


def test_deliveries_are_paged_newest_first(database: Database) -> None:
    add(database, a_message(1), a_message(2, app="other"), a_message(3, app=""))
    for number in (1, 2, 3):
        route(database, f"msg_{number}")

    with database.reading() as stores:
        everything = stores.outbox.page(None, None, 10)
        assert [each.message.id for each in everything] == ["msg_3", "msg_2", "msg_1"]
        [newest] = stores.outbox.page(None, None, 1)
        rest = stores.outbox.page(None, newest.number, 10)
        assert [each.message.id for each in rest] == ["msg_2", "msg_1"]
        assert [each.message.id for each in stores.outbox.page("demo", None, 10)] == ["msg_1"]


def test_what_is_addressed_to_a_target_that_is_gone_is_dropped(database: Database) -> None:
    add(database, a_message())
    route(database, targets=["ops", "gone"])

    with database.transaction() as stores:
        stores.outbox.drop(["ops", "boss"], NOW + SECOND)

    assert due(database, "gone", after=DAY) == []
    assert len(due(database, "ops")) == 1
    with database.reading() as stores:
        states = {each.target: each.state for each in stores.outbox.page(None, None, 10)}
    assert states == {"gone": DeliveryState.DROPPED, "ops": DeliveryState.PENDING}


# --- undelivered --------------------------------------------------------------------------


def test_what_was_given_up_at_a_target_that_is_gone_worries_nobody(database: Database) -> None:
    """Else it would for months: nothing is ever delivered there again."""
    failing(database, 1, DeliveryState.DEAD, error="it timed out")
    assert undelivered(database) == [("ops", 1, "it timed out")]

    with database.transaction() as stores:
        stores.outbox.drop(["boss"], NOW + DAY)

    assert undelivered(database) == []
    with database.reading() as stores:
        [delivery] = stores.outbox.page(None, None, 10)
    assert delivery.state is DeliveryState.DROPPED
    assert delivery.done_at == NOW + SECOND


def failing(database: Database, number: int, state: DeliveryState, **tried: Any) -> None:
    add(database, a_message(number))
    route(database, f"msg_{number}")
    [delivery] = due(database)
    note(database, delivery, state, **tried)


def undelivered(database: Database, *, before: timedelta = SECOND) -> list[tuple[str, int, str]]:
    with database.reading() as stores:
        found = stores.outbox.undelivered(NOW + before)
        assert all(each.since == NOW for each in found)
        return [(each.target, each.messages, each.error) for each in found]


def test_what_was_given_up_is_undelivered_until_the_target_gets_anything(
    database: Database,
) -> None:
    failing(database, 1, DeliveryState.DEAD, error="it answered 500")
    failing(database, 2, DeliveryState.DEAD, error="it timed out")
    assert undelivered(database, before=-DAY) == [("ops", 2, "it timed out")]

    failing(database, 3, DeliveryState.DELIVERED, at=NOW + 2 * SECOND)

    assert undelivered(database) == []


def test_what_was_given_up_after_the_target_got_something_counts(database: Database) -> None:
    failing(database, 1, DeliveryState.DELIVERED)
    failing(database, 2, DeliveryState.DEAD, error="gone", at=NOW + 2 * SECOND)

    assert undelivered(database) == [("ops", 1, "gone")]


def test_what_was_tried_and_waits_for_long_is_undelivered(database: Database) -> None:
    failing(database, 1, DeliveryState.PENDING, error="it timed out")

    assert undelivered(database, before=timedelta(0)) == []  # not for so long
    assert undelivered(database) == [("ops", 1, "it timed out")]


def test_what_nobody_tried_yet_is_not_undelivered(database: Database) -> None:
    add(database, a_message())
    route(database)

    assert undelivered(database) == []


# --- expiry -------------------------------------------------------------------------------


def test_old_messages_go_with_all_that_came_of_them(database: Database) -> None:
    failing(database, 1, DeliveryState.DELIVERED)
    failing(database, 2, DeliveryState.DEAD)
    add(database, a_message(3, at=NOW + DAY))
    route(database, "msg_3", [])

    with database.transaction() as stores:
        numbers = [each.number for each in stores.outbox.page(None, None, 10)]
        stores.outbox.expire(NOW + SECOND)

    with database.reading() as stores:
        assert list(stores.outbox.page(None, None, 10)) == []
        assert [stores.outbox.attempts(number) for number in numbers] in ([[], []], [(), ()])
        assert [each.id for each in stores.outbox.about("demo", 10)] == ["msg_3"]


def test_what_is_on_its_way_never_expires(database: Database) -> None:
    failing(database, 1, DeliveryState.PENDING)
    add(database, a_message(2))

    with database.transaction() as stores:
        stores.outbox.expire(NOW + DAY)

    assert len(due(database, after=DAY)) == 1
    with database.reading() as stores:
        assert [each.id for each in stores.outbox.unrouted(10)] == ["msg_2"]


# --- alerts -------------------------------------------------------------------------------


def opened(database: Database, *alerts: Alert) -> list[bool]:
    with database.transaction() as stores:
        return [stores.alerts.open(alert) for alert in alerts]


def unresolved(database: Database, app: str | None = None) -> list[Alert]:
    with database.reading() as stores:
        return list(stores.alerts.unresolved(app))


def test_an_alert_is_open_once(database: Database) -> None:
    assert opened(database, an_alert("al_1"), an_alert("al_2")) == [True, False]

    assert unresolved(database) == [an_alert("al_1")]


@pytest.mark.parametrize(
    "other", [{"app": "other"}, {"rollout": "ro_2"}, {"ring": "1%"}, {"reason": "suspended"}]
)
def test_alerts_of_another_kind_are_open_beside_it(
    database: Database, other: dict[str, str]
) -> None:
    assert opened(database, an_alert("al_1"), an_alert("al_2", **other)) == [True, True]

    assert [each.id for each in unresolved(database)] == ["al_1", "al_2"]


def test_alerts_of_one_app_can_be_asked_for(database: Database) -> None:
    opened(database, an_alert("al_1"), an_alert("al_2", app="other"), an_alert("al_3", app=""))

    assert [each.id for each in unresolved(database, "demo")] == ["al_1"]


def test_what_was_resolved_may_be_opened_again(database: Database) -> None:
    opened(database, an_alert("al_1"))
    with database.transaction() as stores:
        stores.alerts.resolve("al_1", NOW + SECOND)
        stores.alerts.resolve("al_1", NOW + DAY)

    assert unresolved(database) == []
    assert opened(database, an_alert("al_2")) == [True]


def test_the_first_who_acknowledges_is_remembered(database: Database) -> None:
    opened(database, an_alert())
    with database.transaction() as stores:
        stores.alerts.acknowledge("al_1", "Ann", NOW + SECOND)
        stores.alerts.acknowledge("al_1", "Bob", NOW + DAY)
        stores.alerts.escalate("al_1", NOW + SECOND)
        stores.alerts.acknowledge("al_9", "Eve", NOW)

    [alert] = unresolved(database)
    with database.reading() as stores:
        assert stores.alerts.get("al_1") == alert
        with pytest.raises(NotFoundError):
            stores.alerts.get("al_9")
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("Ann", NOW + SECOND)
    assert alert.escalated_at == NOW + SECOND


def test_alerts_that_were_resolved_long_ago_go(database: Database) -> None:
    opened(database, an_alert("al_1"))
    with database.transaction() as stores:
        stores.alerts.resolve("al_1", NOW)
    opened(database, an_alert("al_2"))

    with database.transaction() as stores:
        stores.alerts.expire(NOW + DAY)

    assert opened(database, an_alert("al_1", rollout="ro_2")) == [True]  # its name is free again
    assert [each.id for each in unresolved(database)] == ["al_2", "al_1"]


def test_open_alerts_are_told_with_what_opened_them(database: Database) -> None:
    ours, gone = an_alert(), an_alert("al_2", message="msg_gone", ring="all")
    theirs = an_alert("al_3", app="other")
    add(database, a_message())
    with database.transaction() as stores:
        for alert in (ours, gone, theirs, an_alert("al_4", ring="1%")):
            stores.alerts.open(alert)
        stores.alerts.resolve("al_4", NOW)

    with database.reading() as stores:
        assert stores.alerts.told() == [(ours, a_message()), (gone, None), (theirs, a_message())]
        assert stores.alerts.told("demo") == [(ours, a_message()), (gone, None)]
