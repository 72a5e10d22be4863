"""What each page costs, as browsers get it: from the real app, to somebody who is signed in.

Pages are rendered over the store of ``fleet.py`` with the records of ``records.py``. Their time
is the processor's in a warm process. No bytes are compressed, and none are cached.
"""

from __future__ import annotations

import gc
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from werkzeug.test import TestResponse

from benchmarks.dashboard.fleet import (
    APP,
    CHANNELS,
    NOW,
    PLATFORMS,
    Size,
    pulled,
    rollouts,
    version_of,
)
from benchmarks.dashboard.reads import plan_of, scans_in, told_to
from benchmarks.dashboard.records import furnish
from benchmarks.evidence.line import Line, at_most, report
from tests.admin_world import World
from tests.dashboard.visitors import Browser, Visitors
from tests.fakes import FakeClock
from update_server.service.agents.refresh import ensure_secrets
from update_server.store import SqlDatabase

MOST_MS: Final = 50
MOST_BYTES: Final = 100_000
MOST_STATEMENTS: Final = 12
REPEATS: Final = 40
OPERATORS: Final = 50

_P95: Final = 0.95
_OK: Final = 200
_STATIC: Final = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_LIVE: Final = "live=1"
_INSTALL: Final = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one page costs. ``bytes``: with all files that it loads.

    ``p95_ms`` is processor time, ``wall_ms`` the median by the clock on the wall, which is longer
    where others work on the machine; ``first_ms`` is the wall's, of a process that has just begun.
    """

    first_ms: float
    p95_ms: float
    wall_ms: float
    bytes: int
    statements: tuple[str, ...]
    scans: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page by its address, and the fields of a form where it is the answer to one."""

    path: str
    fields: Mapping[str, str] | None = None

    def open(self, browser: Browser) -> TestResponse:
        """Let somebody look at it."""
        if self.fields is None:
            return browser.get(self.path)
        return browser.post(self.path, dict(self.fields))


def pages(size: Size, worst: str) -> Mapping[str, Page]:
    """Return all pages by name, the live pieces of those that have some included."""
    app = f"/apps/{APP}"
    live, stopped = rollouts(size)[0], pulled(size)
    asked = {
        "install_id": _INSTALL,
        "channel": CHANNELS[0],
        "platform": PLATFORMS[0],
        "version": str(version_of(size.releases - 3 * len(CHANNELS) // 2)),
    }
    found = {
        "now": "/",
        "release": f"{app}/rollouts/{live}",
        "release, pulled": f"{app}/rollouts/{stopped}",
        "evidence": f"{app}/rollouts/{live}/evidence",
        "crashes": f"{app}/crashes",
        "crashes, a version": f"{app}/crashes?version={version_of(size.releases - 1)}",
        "crash": f"{app}/crashes/{worst}",
        "fleet": f"{app}/fleet",
        "telemetry": f"{app}/telemetry",
        "telemetry, 48 hours": f"{app}/telemetry?hours=48",
        "audit": "/audit",
        "policy": f"{app}/policy",
        "app": app,
        "operators": "/operators",
        "account": "/account",
    }
    live_pages = ("now", "release", "release, pulled", "evidence", "telemetry")
    return {
        **{name: Page(path=path) for name, path in found.items()},
        "explain": Page(path=f"{app}/explain", fields=asked),
        **{f"{name}, live": Page(path=f"{found[name]}?{_LIVE}") for name in live_pages},
    }


def costs(
    database: SqlDatabase, size: Size, folder: Path, repeats: int = REPEATS
) -> Mapping[str, Cost]:
    """Return what each page costs, of a store that holds a fleet of this *size*."""
    ensure_secrets(database, lambda: b"s" * 32)
    furnish(database, size, folder)
    # The real store stands where a world has its fake.
    world = World(folder=folder / "signer", database=database, clock=FakeClock(NOW))  # type: ignore[arg-type]
    visitors = Visitors(world)
    for number in range(OPERATORS):
        visitors.add(f"operator{number}")
    with database.reading() as stores:
        [worst] = stores.crashes.worst(APP, version=str(version_of(size.releases - 1)), limit=1)
    ada = visitors.ada
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is nothing that a server would look through
    return {
        name: cost_of(database, ada, page, repeats) for name, page in pages(size, worst).items()
    }


def cost_of(database: SqlDatabase, browser: Browser, page: Page, repeats: int) -> Cost:
    """Return what *page* costs."""
    _, first = _milliseconds(browser, page)  # reads templates, and learns what does not change
    with told_to(database) as told:
        answer = page.open(browser)
    if answer.status_code != _OK:
        raise RuntimeError(f"{page.path} was answered {answer.status_code}: {answer.text}")
    loaded = sorted(set(_STATIC.findall(answer.text)))
    files = sum(len(browser.get(path).data) for path in loaded)
    taken = [_milliseconds(browser, page) for _ in range(repeats)]
    processor = sorted(each for each, _ in taken)
    return Cost(
        first_ms=first,
        p95_ms=processor[min(repeats - 1, int(_P95 * repeats))],
        wall_ms=statistics.median(wall for _, wall in taken),
        bytes=len(answer.data) + files,
        statements=tuple(statement for statement, _ in told),
        scans=sum(scans_in(plan_of(database, *one)) for one in told),
    )


def _milliseconds(browser: Browser, page: Page) -> tuple[float, float]:
    """Return how long it took: of the processor's time, and by the wall's clock."""
    began, worked = time.perf_counter(), time.thread_time()
    page.open(browser)
    return (time.thread_time() - worked) * 1_000, (time.perf_counter() - began) * 1_000


def lines_of(database: SqlDatabase, size: Size, repeats: int = REPEATS) -> Iterator[Line]:
    """Return what is said of the pages of a fleet."""
    with tempfile.TemporaryDirectory() as name:
        found = costs(database, size, Path(name), repeats)
    said = partial(at_most, n=1)
    yield said("page_scans", sum(cost.scans for cost in found.values()), 0)
    for name, cost in found.items():
        yield at_most(f"page_ms_p95, {name}", cost.p95_ms, MOST_MS, n=repeats)
        yield report(f"page_ms_wall, {name}", cost.wall_ms, n=repeats)
        yield said(f"page_bytes, {name}", cost.bytes, MOST_BYTES)
        yield said(f"page_statements_rendered, {name}", len(cost.statements), MOST_STATEMENTS)
    yield report("page_ms_first, worst", max(cost.first_ms for cost in found.values()), n=1)
