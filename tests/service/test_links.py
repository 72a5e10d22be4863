"""Messages lead to the page of their rollout, where somebody said how pages are reached."""

from __future__ import annotations

from dataclasses import replace

from tests.notify.messages import a_message
from update_server.service.notices.links import linked

URL = "https://serinus.example.org"
ABOUT = replace(
    a_message(),
    app="notes",
    rollout="ro_7k2m",
    version="2.4.0",
    text="PAUSED. It stays so: serinus rollout show 2.4.0",
    sentence="PAUSED.",
)
PAGE = f"{URL}/apps/notes/rollouts/ro_7k2m"


def test_the_page_takes_the_place_of_the_command() -> None:
    assert linked(ABOUT, URL).text == f"PAUSED. It stays so: {PAGE}"
    assert linked(ABOUT, URL).sentence == ABOUT.sentence


def test_it_stands_at_the_end_where_there_is_no_command() -> None:
    assert linked(replace(ABOUT, text="Started."), URL).text == f"Started. {PAGE}"


def test_without_an_address_the_command_stays() -> None:
    assert linked(ABOUT, "") == ABOUT


def test_what_is_about_no_rollout_has_no_page() -> None:
    told = replace(ABOUT, rollout="")

    assert linked(told, URL) == told


def test_what_a_person_wrote_is_left_alone() -> None:
    told = replace(ABOUT, text=f"Paused: see serinus rollout show 2.4.0. {ABOUT.text}")

    assert linked(told, URL).text == (
        f"Paused: see serinus rollout show 2.4.0. PAUSED. It stays so: {PAGE}"
    )
