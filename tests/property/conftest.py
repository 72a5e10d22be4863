from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # They run the same lines thousands of times, which being measured makes twice as long.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.no_cover)
