"""Every wrong setting of a target names its line, its table, and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from update_server import config as configs
from update_server import config_notify
from update_server.config import ConfigError

GOOD = """[server]
workers = 1

[[notify]]
name = "ops"
kind = "webhook"
url = "https://hooks.example.com/x"
secret_files = ["ops.secret", "/etc/serinus/next.secret"]
events = "pages"
apps = ["notes"]
escalate_to = "boss"
allow_private = ["hooks.internal"]

[[notify]]
name = "boss"
kind = "smtp"
url = "smtp://mail.example.com:587"
sender = "serinus@example.com"
recipients = ["boss@example.com"]
user = "serinus"
password_file = "mail.password"
events = "escalations"

[[notify]]
name = "chat"
kind = "slack"
url_file = "slack.url"
"""


def load(folder: Path, text: str) -> configs.Config:
    file = folder / "serinus.toml"
    file.write_text(text)
    return configs.load(file)


def test_targets_are_read_with_files_beside_the_settings(tmp_path: Path) -> None:
    ops, boss, chat = load(tmp_path, GOOD).notify

    assert (ops.name, ops.kind, ops.url) == ("ops", "webhook", "https://hooks.example.com/x")
    assert ops.secret_files == (tmp_path / "ops.secret", Path("/etc/serinus/next.secret"))
    assert (ops.events, ops.apps, ops.escalate_to) == ("pages", ("notes",), "boss")
    assert ops.allow_private == ("hooks.internal",)
    assert (boss.sender, boss.recipients) == ("serinus@example.com", ("boss@example.com",))
    assert (boss.user, boss.password_file) == ("serinus", tmp_path / "mail.password")
    assert (chat.url, chat.url_file, chat.events) == ("", tmp_path / "slack.url", "all")


def test_nobody_need_be_told(tmp_path: Path) -> None:
    assert load(tmp_path, "[server]\n").notify == ()


def test_it_is_no_setting_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no setting 'notify'"):
        load(tmp_path, '[server]\nnotify = "x"\n')


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "ops"', "", "line 4: [[notify]] 1: name must be letters, digits, dots and dashes"),
        ('"ops"', '"a b"', "line 5: [[notify]] 1 ('a b'): name must be letters"),
        ('"boss"\nkind', '"ops"\nkind', "line 15: [[notify]] 2 ('ops'): name must be another"),
        ('"webhook"', '"pager"', "line 6: [[notify]] 1 ('ops'): kind must be one of webhook, sl"),
        ('"pages"', '"some"', "line 9: [[notify]] 1 ('ops'): events must be one of pages, inf"),
        ('"pages"', "3", "line 9: [[notify]] 1 ('ops'): events must be text in quotes"),
        ('["notes"]', '"notes"', "line 10: [[notify]] 1 ('ops'): apps must be a list of texts"),
        ('["notes"]', "[1]", "line 10: [[notify]] 1 ('ops'): apps must be a list of texts"),
        ("events", "event", "line 9: [[notify]] 1 ('ops'): event is no setting; there are allow_"),
        ('= "boss"\n', '= "ops"\n', "line 11: [[notify]] 1 ('ops'): escalate_to must name another"),
        ('to = "boss"', 'to = "who"', "escalate_to must name another target, not 'who'"),
        ("https:", "ftp:", "line 7: [[notify]] 1 ('ops'): url must begin with https:// or http://"),
        ('url = "https://hooks.example.com/x"', "", "url or url_file must be there, and not both"),
        ("url_file", "url", "('chat'): url is a secret: put it into a file, and name that as"),
        ('["ops.secret", "/etc/serinus/next.secret"]', "[]", "secret_files must name the file"),
        ('"ops.secret", ', '"a", "b", ', "secret_files must name the file of the secret, or two"),
        ('kind = "slack"', 'kind = "slack"\nuser = "a"', "('chat'): user is for smtp only"),
        ('kind = "slack"', 'kind = "slack"\nsecret_files = ["a"]', "secret_files is for webhooks"),
        ("serinus@example.com", "serinus", "sender must be a mail address, not 'serinus'"),
        ('["boss@example.com"]', '["a, b@c"]', "recipients must be mail addresses, not ['a, b@c']"),
        ('user = "serinus"\n', "", "('boss'): user and password_file go together"),
        ("smtp://", "imap://", "('boss'): url must begin with smtp:// or smtps://"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD

    with pytest.raises(ConfigError) as raised:
        load(tmp_path, GOOD.replace(old, new, 1))

    assert told in str(raised.value)
    assert str(tmp_path / "serinus.toml") in str(raised.value)


def test_no_address_is_told_for_it_may_be_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, GOOD.replace('url_file = "slack.url"', 'url = "https://x/secret"'))

    assert "secret-part" not in str(raised.value)
    assert "https://x" not in str(raised.value)


@pytest.mark.parametrize("text", ["notify = 3\n", "notify = [1]\n", '[notify]\nname = "a"\n'])
def test_they_are_tables_of_an_array(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1: notify must be \[\[notify\]\] tables"):
        load(tmp_path, text)


def test_there_are_not_too_many(tmp_path: Path) -> None:
    one = '[[notify]]\nname = "n{}"\nkind = "slack"\nurl_file = "x"\n'
    many = "".join(one.format(number) for number in range(21))

    with pytest.raises(ConfigError, match="there are 21"):
        load(tmp_path, many)


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page.split("### [[notify]]")[1].split("\n### ")[0]

    named = set(
        re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)))
    )

    assert named == config_notify._TEXTS | config_notify._LISTS
