from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.dashboard.browser import stage as stages
from tests.dashboard.browser.chromium import DESK, Look, a_browser, a_window, settle
from tests.dashboard.browser.stage import Served, Stage, serving
from tests.dashboard.browser.watch import Watch
from tests.lazy_routes import lazy_routes

_SERVERS = {"shown", "served", "rolling"}
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here. Each file is one worker's, which has one browser for it.

    Who serves pages here is a test's own process, and waits for a browser most of the time:
    nothing to measure.
    """
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("browser")
            item.add_marker("no_cover")
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(f"browser {item.path.stem}"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for a worker. It is gone before other tests begin: it keeps a loop running."""
    with a_browser() as browser:
        yield browser


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Look:
    """How this test looks at pages: ``@pytest.mark.parametrize("look", …, indirect=True)``."""
    look: Look = getattr(request, "param", DESK)
    return look


@pytest.fixture
def window(
    browser: Browser, look: Look, request: pytest.FixtureRequest
) -> Iterator[tuple[BrowserContext, Watch]]:
    """A window, which is closed before who serves its pages stops."""
    for server in _SERVERS & set(request.fixturenames):
        request.getfixturevalue(server)
    with a_window(browser, look) as window:
        yield window


@pytest.fixture
def context(window: tuple[BrowserContext, Watch]) -> BrowserContext:
    return window[0]


@pytest.fixture
def watch(window: tuple[BrowserContext, Watch]) -> Iterator[Watch]:
    """What goes wrong in this test; nothing may have, in the end."""
    context, watch = window
    yield watch
    for page in context.pages:
        settle(page)
    assert watch.faults == []


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The stage while 2.4.0 rolls out well; no test may change it."""
    return stages.open_stage(tmp_path_factory.mktemp("stage") / "signer")


@pytest.fixture(scope="session")
def played(opened: Stage, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The stage after the judge paused 2.4.0; no test may change it."""
    stage = opened.fork(tmp_path_factory.mktemp("played") / "signer")
    stages.sicken(stage)
    return stage


@pytest.fixture(scope="session")
def shown(played: Stage) -> Iterator[Served]:
    """Its pages, for tests that only look."""
    with lazy_routes(), serving(played) as served:
        yield served


@pytest.fixture
def served(played: Stage, tmp_path: Path) -> Iterator[Served]:
    """A stage of the test's own, and its pages."""
    with lazy_routes(), serving(played.fork(tmp_path / "signer")) as served:
        yield served


@pytest.fixture
def rolling(opened: Stage, tmp_path: Path) -> Iterator[Served]:
    """The same before anything is wrong with 2.4.0."""
    with lazy_routes(), serving(opened.fork(tmp_path / "signer")) as served:
        yield served
