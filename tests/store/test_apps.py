"""Contract of ports.Apps: registered apps, generations and leases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.values import NOW, a_rollout, an_app
from update_server.service.ports import Database, ExistsError, LeaseLostError, NotFoundError

SECOND = timedelta(seconds=1)


def test_an_app_is_given_a_number_and_comes_back_as_it_went(empty: Database) -> None:
    wanted = an_app(channels=("stable", "beta"), platforms=(), registered=True, generation=3)

    with empty.transaction() as stores:
        added = stores.apps.add(wanted)

    assert added.number > 0
    assert replace(added, number=0) == wanted
    with empty.reading() as stores:
        assert stores.apps.get("demo") == added


def test_apps_are_listed_by_name(empty: Database) -> None:
    with empty.transaction() as stores:
        added = [stores.apps.add(an_app(name)) for name in ("b", "a")]

    with empty.reading() as stores:
        assert stores.apps.all() == [added[1], added[0]]


def test_a_name_is_taken_once_and_the_transaction_goes_on(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(ExistsError) as caught:
            stores.apps.add(an_app("demo"))
        stores.apps.add(an_app("other"))

    assert (caught.value.kind, caught.value.key) == ("app", "demo")
    with database.reading() as stores:
        assert [app.name for app in stores.apps.all()] == ["demo", "other"]


def test_an_update_writes_channels_platforms_and_registration_only(database: Database) -> None:
    with database.transaction() as stores:
        old = stores.apps.get("demo")
        stores.apps.bump("demo")
        stores.apps.update(replace(old, channels=("beta",), platforms=("p",), registered=True))

    with database.reading() as stores:
        app = stores.apps.get("demo")
    wanted = replace(old, channels=("beta",), platforms=("p",), registered=True, generation=1)
    assert app == wanted


def test_a_bump_raises_the_generation_by_one(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        assert [stores.apps.bump("demo"), stores.apps.bump("demo")] == [1, 2]

    with database.reading() as stores:
        assert stores.apps.generations() == {"demo": 2, "other": 0}


def test_an_unknown_app_is_not_found(database: Database) -> None:
    with database.transaction() as stores:
        for call in (
            lambda: stores.apps.get("none"),
            lambda: stores.apps.bump("none"),
            lambda: stores.apps.update(an_app("none")),
            lambda: stores.rollouts.add(a_rollout(app="none")),
        ):
            with pytest.raises(NotFoundError) as caught:
                call()
            assert (caught.value.kind, caught.value.key) == ("app", "none")


def test_a_lease_is_refused_while_another_holder_has_it(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.take_lease("demo", "one", NOW, 10)

        with pytest.raises(LeaseLostError) as caught:
            stores.apps.take_lease("demo", "two", NOW + 9 * SECOND, 10)

    assert (caught.value.app, caught.value.holder) == ("demo", "one")


def test_an_expired_lease_is_taken_over_with_a_greater_number(database: Database) -> None:
    with database.transaction() as stores:
        first = stores.apps.take_lease("demo", "one", NOW, 10)

        second = stores.apps.take_lease("demo", "two", NOW + 10 * SECOND, 10)

        assert second > first
        stores.apps.check_lease("demo", second)
        with pytest.raises(LeaseLostError) as caught:
            stores.apps.check_lease("demo", first)
    assert caught.value.holder == "two"


def test_a_holder_extends_its_lease_and_the_old_number_ends(database: Database) -> None:
    with database.transaction() as stores:
        first = stores.apps.take_lease("demo", "one", NOW, 10)

        second = stores.apps.take_lease("demo", "one", NOW + 5 * SECOND, 10)

        with pytest.raises(LeaseLostError):
            stores.apps.take_lease("demo", "two", NOW + 14 * SECOND, 10)
        with pytest.raises(LeaseLostError):
            stores.apps.check_lease("demo", first)
        stores.apps.check_lease("demo", second)


def test_an_expired_lease_holds_until_somebody_takes_it(database: Database) -> None:
    with database.transaction() as stores:
        fence = stores.apps.take_lease("demo", "one", NOW, 1)

    with database.reading() as stores:
        stores.apps.check_lease("demo", fence)


def test_a_dropped_lease_is_free_and_its_number_is_not_used_again(database: Database) -> None:
    with database.transaction() as stores:
        first = stores.apps.take_lease("demo", "one", NOW, 10)
        stores.apps.drop_lease("demo", first)

        with pytest.raises(LeaseLostError):
            stores.apps.check_lease("demo", first)
        assert stores.apps.take_lease("demo", "two", NOW, 10) > first


def test_only_the_present_number_drops_a_lease(database: Database) -> None:
    with database.transaction() as stores:
        first = stores.apps.take_lease("demo", "one", NOW, 1)
        second = stores.apps.take_lease("demo", "two", NOW + SECOND, 10)

        stores.apps.drop_lease("demo", first)

        stores.apps.check_lease("demo", second)


def test_what_is_no_app_has_leases_too(empty: Database) -> None:
    with empty.transaction() as stores:
        fence = stores.apps.take_lease("*controller", "one", NOW, 10)

        stores.apps.check_lease("*controller", fence)
        with pytest.raises(LeaseLostError):
            stores.apps.check_lease("never taken", fence)
