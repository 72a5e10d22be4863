"""What charts are drawn with can be told from the page behind it: WCAG 2.2, 1.4.11, both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import update_server.web.dashboard

STATIC = Path(update_server.web.dashboard.__file__).parent / "static"
VARIABLE = re.compile(r"--([a-z0-9-]+):\s*(#[0-9a-f]{3,6})")
TEXT = ("cand", "ctrl", "v2", "v3")  # names of lines are written in their colours
MOST_BYTES = 3_072


def themes(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the colours of a stylesheet in a light and in a dark page."""
    light, dark = (STATIC / name).read_text().split("prefers-color-scheme: dark", 1)
    return dict(VARIABLE.findall(light)), dict(VARIABLE.findall(dark.split("\n}\n", 1)[0]))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_that_is_drawn_stands_out(theme: int) -> None:
    paper = themes("serinus.css")[theme]["paper"]
    colours = themes("charts.css")[theme]

    too_pale = {
        name: colour
        for name, colour in colours.items()
        if contrast(colour, paper) < (4.5 if name in TEXT else 3)
    }

    assert colours
    assert not too_pale


def test_both_themes_have_the_same_colours() -> None:
    light, dark = themes("charts.css")

    assert set(light) == set(dark)


def test_the_styles_of_charts_are_small() -> None:
    assert len((STATIC / "charts.css").read_bytes()) <= MOST_BYTES
