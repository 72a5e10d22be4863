"""A page says of a crash what studies were told: whether it was new to a release."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tests.fakes import FakeDatabase
from tests.store.values import NOW, a_release, an_app
from update_server.service.crashes.facts import known_signatures
from update_server.service.crashes.novelty import news_of, published_of
from update_server.service.ports.crashes import Alias
from update_server.service.ports.signatures import Sighting

DAY = timedelta(days=1)
CHANNELS = ("stable", "beta")
NAMES = ("a", "b", "c")
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "2.0.0")

days = st.integers(min_value=-60, max_value=10)
sightings = st.lists(
    st.builds(
        lambda channel, version, name, day: Sighting(
            app="demo",
            channel=channel,
            version=version,
            comparable=name,
            title=name,
            at=NOW + day * DAY,
        ),
        st.sampled_from(CHANNELS),
        st.sampled_from(VERSIONS),
        st.sampled_from(NAMES),
        days,
    ),
    max_size=6,
)
releases = st.dictionaries(
    st.tuples(st.sampled_from(CHANNELS), st.sampled_from(VERSIONS)), days, min_size=1
)
aliases = st.dictionaries(st.sampled_from(("b", "c")), days, max_size=2)


@given(seen=sightings, published=releases, said=aliases)
def test_it_is_new_where_a_study_was_told_so(
    seen: list[Sighting], published: dict[tuple[str, str], int], said: dict[str, int]
) -> None:
    database = FakeDatabase()
    with database.transaction() as stores:
        stores.apps.add(an_app(channels=CHANNELS))
        for (channel, version), day in published.items():
            at = NOW + day * DAY
            stores.releases.add(
                a_release(channel=channel, version=Version(version), admitted_at=at)
            )
        stores.signatures.note(sorted(seen, key=lambda one: one.at))
        for name, day in said.items():
            at = NOW + day * DAY
            stores.crashes.put_alias(
                Alias(app="demo", signature=name, same_as="a", at=at, by="ada")
            )
    with database.reading() as stores:
        told = published_of(stores, "demo")
        found = news_of(stores, "demo", "a", VERSIONS, told, stores.crashes.aliases("demo"))
        wanted = {
            (channel, version): "a"
            not in known_signatures(
                stores, "demo", channel, Version(version), told.at[Version(version)]
            )
            for channel, version in published
        }
    assert found == wanted


def test_the_comparison_can_fail() -> None:
    """A version on which it was seen long ago is the third before, and so it is known."""
    database = FakeDatabase()
    with database.transaction() as stores:
        stores.apps.add(an_app())
        for version in VERSIONS[:5]:
            stores.releases.add(a_release(version=Version(version), admitted_at=NOW))
        old = Sighting(
            app="demo", channel="stable", version="1.1.0", comparable="a", title="a",
            at=NOW - 90 * DAY,
        )  # fmt: skip
        stores.signatures.note([old])
        told = published_of(stores, "demo")
        found = news_of(stores, "demo", "a", VERSIONS, told, ())

    assert [version for _, version in told.last()] == [Version(v) for v in VERSIONS[4:1:-1]]
    assert found == {
        ("stable", "1.0.0"): True,
        ("stable", "1.1.0"): True,
        ("stable", "1.2.0"): False,
        ("stable", "1.3.0"): False,
        ("stable", "1.4.0"): False,
    }
