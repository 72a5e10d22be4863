"""The receiver in docs/notifications.md runs, and does what it says."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from tests.notify.messages import AT, a_message
from update_server.notify.webhook import key_of, render, sign

PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"
OLD, NEW = (
    "whsec_" + base64.b64encode(bytes(range(start, start + 32))).decode() for start in (0, 32)
)


@pytest.fixture
def verified() -> Any:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(compile(code[1], str(PAGE), "exec"), names)
    return names["verified"]


def a_request(*secrets: str) -> tuple[dict[str, str], bytes]:
    body, at = render(a_message()), int(AT.timestamp())
    keys = [key_of(secret, "secret") for secret in secrets]
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": sign("msg_1", at, body, keys),
    }
    return headers, body


def test_it_takes_what_was_signed_with_either_secret(verified: Any) -> None:
    headers, body = a_request(OLD, NEW)

    assert verified(headers, body, [NEW], AT.timestamp()) == "msg_1"
    assert verified(headers, body, [OLD], AT.timestamp() + 299) == "msg_1"


def test_it_takes_nothing_else(verified: Any) -> None:
    headers, body = a_request(OLD)

    for wrong in (
        (headers, body + b" ", [OLD], AT.timestamp()),
        (headers, body, [NEW], AT.timestamp()),
        (headers, body, [OLD], AT.timestamp() + 301),
        ({**headers, "webhook-id": "msg_2"}, body, [OLD], AT.timestamp()),
    ):
        with pytest.raises(ValueError, match=r"too old|not signed"):
            verified(*wrong)
