"""Telemetry settings of an app, from the command line."""

from __future__ import annotations

from tests.cli.cli_world import Cli

SET, SHOW = ("app", "settings", "set"), ("app", "settings", "show")


def test_what_is_named_is_set_and_the_rest_stays(released: Cli) -> None:
    released.run(*SET, "--crash-messages", "--reason", "beta")
    released.run(*SET, "--tag", "gpu", "--tag", "driver")

    shown = released.json(*SHOW)

    assert shown == {
        "project": 1,
        "crash_messages": True,
        "tags": ["gpu", "driver"],
        "app_keys": [],
        "atom": False,
    }
    assert released.run(*SHOW).out == (
        "messages  kept, scrubbed\ntags      gpu driver\napp keys  -\nfeed      off\n"
    )
    assert released.json(*SET, "--no-crash-messages", "--no-tags")["tags"] == []


def test_keys_are_made_and_taken_back(released: Cli) -> None:
    (key,) = released.json(*SET, "--new-app-key")["app_keys"]

    assert f"https://{key}@YOUR-PUBLIC-HOST/1\n" in released.run(*SHOW).out
    assert released.json(*SET, "--remove-app-key", key)["app_keys"] == []
    assert released.refused(*SET, "--remove-app-key", key) == "unknown_app_key"


def test_a_feed_is_for_everybody_once_somebody_says_so(released: Cli) -> None:
    assert released.json(*SET, "--atom")["atom"] is True
    assert released.run(*SHOW).out.endswith("feed      for everybody\n")
    assert released.json(*SET, "--no-atom")["atom"] is False


def test_something_has_to_be_set(released: Cli) -> None:
    assert "name what is to be set" in released.run(*SET, code=2).err
