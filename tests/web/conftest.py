from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lazy_routes import lazy_routes


@pytest.fixture(scope="session", autouse=True)
def _lazy_routes() -> Iterator[None]:
    with lazy_routes():
        yield
