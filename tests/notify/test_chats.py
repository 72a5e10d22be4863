from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notify.messages import AT, a_message
from tests.notify.receiver import Receiver, a_receiver
from update_server.notify import NOTIFIERS, Network, slack, teams
from update_server.notify.settings import TargetSettings
from update_server.service.ports.outbox import UndeliveredError

EVIL = "<!channel> [click](https://evil.example) *bold* <@U1> & co"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def a_target(tmp_path: Path, receiver: Receiver, kind: str) -> TargetSettings:
    (tmp_path / "url").write_text(f"{receiver.url}\n")
    return TargetSettings(
        name="chat", kind=kind, url_file=tmp_path / "url", allow_private=("127.0.0.1",)
    )


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_chat_is_sent_json_at_the_address_in_its_file(
    tmp_path: Path, receiver: Receiver, kind: str
) -> None:
    receiver.answers = [(202, {})]
    notifier = NOTIFIERS[kind](a_target(tmp_path, receiver, kind), Network())

    assert notifier.send(a_message(), AT) == 202

    received = receiver.next()
    assert received.headers["content-type"] == "application/json"
    assert a_message().text in json.dumps(received.json(), ensure_ascii=False)


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_chats_address_is_in_no_error(tmp_path: Path, receiver: Receiver, kind: str) -> None:
    receiver.answers = [(404, {})]
    notifier = NOTIFIERS[kind](a_target(tmp_path, receiver, kind), Network())

    with pytest.raises(UndeliveredError) as raised:
        notifier.send(a_message(), AT)

    assert raised.value.why == "127.0.0.1 answered 404"


def test_slack_shows_plain_text_in_blocks() -> None:
    document = json.loads(slack.render(a_message()))

    assert document == {
        "text": a_message().subject,
        "blocks": [
            {"type": "header", "text": a_plain_text(a_message().subject)},
            {"type": "section", "text": a_plain_text(a_message().text)},
            {"type": "context", "elements": [a_plain_text("msg_1")]},
        ],
    }


def test_nothing_in_a_message_mentions_anybody_on_slack() -> None:
    document = json.loads(slack.render(a_message(subject=EVIL, text=EVIL)))

    assert document["text"] == EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert document["blocks"][1]["text"] == a_plain_text(EVIL)


def test_teams_shows_runs_of_text_in_a_card() -> None:
    document = json.loads(teams.render(a_message(subject=EVIL)))

    [attachment] = document["attachments"]
    card = attachment["content"]
    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    # A text block would read Markdown; a run of text does not.
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [block["inlines"][0] for block in card["body"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert [run["text"] for run in runs] == [EVIL, a_message().text, "msg_1"]


def a_plain_text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
