"""Contract of ports.Releases: releases, targets and signed documents."""

from dataclasses import replace

import pytest
from packaging.version import Version

from tests.store.values import HOUR, NOW, a_document, a_release, a_target, an_app
from update_server.service.ports import ChangedError, Database, ExistsError, NotFoundError


def test_a_release_is_given_a_number_and_comes_back_as_it_went(database: Database) -> None:
    wanted = a_release(version=Version("2.1.0rc1"), document=b"\x00\xff")

    with database.transaction() as stores:
        added = stores.releases.add(wanted)

    assert added.number > 0
    assert replace(added, number=0) == wanted
    with database.reading() as stores:
        assert stores.releases.all("demo") == [added]


def test_a_release_is_found_by_version_for_each_platform(database: Database) -> None:
    with database.transaction() as stores:
        windows = stores.releases.add(a_release(platform="windows-x86_64"))
        linux = stores.releases.add(a_release())
        stores.releases.add(a_release(version=Version("2.2.0")))
        stores.releases.add(a_release(channel="beta"))

    with database.reading() as stores:
        assert stores.releases.get("demo", "stable", Version("2.1.0")) == [linux, windows]
        assert stores.releases.get("demo", "nightly", Version("2.1.0")) == []


def test_releases_are_listed_oldest_first_for_one_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.releases.add(a_release(app="other"))
        added = [stores.releases.add(a_release(version=Version(v))) for v in ("10.0", "2.0")]

    with database.reading() as stores:
        assert stores.releases.all("demo") == added


def test_a_version_is_released_once(database: Database) -> None:
    with database.transaction() as stores:
        stores.releases.add(a_release())

        with pytest.raises(ExistsError) as caught:
            stores.releases.add(a_release(document=b"other"))

    assert caught.value.kind == "release"


def test_targets_come_back_as_they_went(database: Database) -> None:
    policy = a_target()
    artifact = a_target("demo/a.srn", release=("stable", "linux-x86_64", "2.1.0"))

    with database.transaction() as stores:
        stores.releases.add_targets([policy, artifact])

    with database.reading() as stores:
        assert stores.releases.targets("demo") == [artifact, policy]
        assert stores.releases.target("demo", policy.path) == policy
        with pytest.raises(NotFoundError):
            stores.releases.target("demo", "none")


def test_the_same_target_again_changes_nothing_and_another_is_refused(database: Database) -> None:
    with database.transaction() as stores:
        stores.releases.add_targets([a_target(), a_target()])

        with pytest.raises(ExistsError) as caught:
            stores.releases.add_targets([a_target(length_bytes=1)])

        assert stores.releases.targets("demo") == [a_target()]
    assert caught.value.key == a_target().path


def test_a_newer_document_replaces_the_one_before(database: Database) -> None:
    newer = a_document(version=2**40, document=b"newer")

    with database.transaction() as stores:
        stores.releases.put_document(a_document())
        stores.releases.put_document(a_document(kind="policy"))
        stores.releases.put_document(newer)

    with database.reading() as stores:
        assert stores.releases.documents("demo") == [a_document(kind="policy"), newer]


def test_a_document_never_goes_back_in_version(database: Database) -> None:
    with database.transaction() as stores:
        stores.releases.put_document(a_document(version=2))

        for other in (a_document(version=1), a_document(version=2, document=b"other")):
            with pytest.raises(ChangedError):
                stores.releases.put_document(other)

        stores.releases.put_document(a_document(version=2))
        assert stores.releases.documents("demo") == [a_document(version=2)]


def test_versions_are_told_once_for_each_channel(database: Database) -> None:
    with database.transaction() as stores:
        for changes in ({}, {"platform": "macos-arm64"}, {"channel": "beta"}):
            stores.releases.add(a_release(**changes))

        assert stores.releases.versions("demo") == [
            ("beta", Version("2.1.0")),
            ("stable", Version("2.1.0")),
        ]
        assert stores.releases.versions("other") == []


def test_versions_are_told_with_when_a_channel_first_had_them(database: Database) -> None:
    with database.transaction() as stores:
        later = NOW + HOUR
        stores.releases.add(a_release(platform="macos-arm64", admitted_at=later))
        stores.releases.add(a_release())
        stores.releases.add(a_release(channel="beta", admitted_at=later))

        assert stores.releases.published("demo") == [
            ("beta", Version("2.1.0"), later),
            ("stable", Version("2.1.0"), NOW),
        ]
        assert stores.releases.published("other") == []


def test_releases_and_their_files_are_found_by_version(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        for app in ("demo", "other"):
            stores.releases.add(a_release(app=app, version=Version("3.0")))
            for version in ("1.0", "2.0"):
                stores.releases.add(a_release(app=app, version=Version(version)))
                release = ("stable", "linux-x86_64", version)
                stores.releases.add_targets([a_target(f"{version}.zip", app=app, release=release)])
        stores.releases.add_targets([a_target("policy.json")])

    wanted = {Version("1.0"), Version("3.0")}
    with database.reading() as stores:
        found = stores.releases.of_versions("demo", wanted)
        assert [(one.app, str(one.version)) for one in found] == [("demo", "3.0"), ("demo", "1.0")]
        files = stores.releases.targets("demo", wanted)
        assert [(one.app, one.path) for one in files] == [("demo", "1.0.zip")]
        assert stores.releases.of_versions("demo", []) == []
        assert stores.releases.targets("demo", []) == []
