from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from tests.cli.demo_builders import an_install, put_taken
from update_server.cli.demo.fleet import Look
from update_server.cli.demo.saving import Saving, saving_on

NEWER = Version("1.1.0")


def looks(folder: Path) -> list[Look]:
    """Return three installs: one took a delta, one the payload, and one is on another version."""
    small, whole, other = (an_install(folder, number=number) for number in (1, 2, 3))
    put_taken(small, "1.1.0", received_bytes=100_000)
    put_taken(whole, "1.1.0", delta=False, received_bytes=3_000_000)
    put_taken(other, "1.0.0", delta=False)
    return [install.look() for install in (small, whole, other)]


def test_only_what_led_to_the_version_is_counted(tmp_path: Path) -> None:
    found = saving_on(NEWER, looks(tmp_path))

    assert found == Saving(installs=1, sent_bytes=3_100_000, full_bytes=6_000_000)
    assert found.document() == {"installs": 1, "sent_bytes": 3_100_000, "full_bytes": 6_000_000}


def test_the_saving_is_told_in_sizes_that_people_read() -> None:
    large = Saving(installs=40, sent_bytes=900_000, full_bytes=120_000_000)
    small = Saving(installs=1, sent_bytes=250, full_bytes=1_000)

    assert large.sentence() == "900.0 kB came instead of 120.0 MB, 99 % less"
    assert small.sentence() == "0.2 kB came instead of 1.0 kB, 75 % less"


def test_a_fleet_that_fetched_nothing_saved_nothing() -> None:
    nothing = saving_on(NEWER, [Look(directories={})])

    assert nothing == Saving(installs=0, sent_bytes=0, full_bytes=0)
    assert nothing.sentence() == "0.0 kB came instead of 0.0 kB, 0 % less"
