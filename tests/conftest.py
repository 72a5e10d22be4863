"""What every test uses, and nothing else.

``HYPOTHESIS_PROFILE=thorough`` searches long and at random; the default profile is small and
tries the same examples each time, so that a failure is the change's and not the draw's.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


MOST_SHOWN = 60


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test by its parameter where the value is long.

    Documents hold keys that are drawn, and times: every worker of a run would name the test
    otherwise, and none could be told to run it.
    """
    return argname if isinstance(val, bytes | str) and len(val) > MOST_SHOWN else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits for real processes: one worker waits while others compute.

    What such a test walks in its own process is the test's, not the server's: nothing to measure.
    """
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Measure no fixture of a test marked ``no_cover``: pytest-cov leaves out its call only.

    Being measured doubles what Python costs, and triples a simulation's cost. The marker is for
    tests that walk the same lines over and over, or walk those that smaller tests cover.
    """
    plugin = item.config.pluginmanager.getplugin("_cov")
    if item.get_closest_marker("no_cover") and plugin and plugin.cov_controller:
        plugin.cov_controller.pause()
        try:
            return (yield)
        finally:
            plugin.cov_controller.resume()
    return (yield)
