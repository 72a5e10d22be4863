"""Who a ring or a hold is for: both fail towards staying."""

from types import MappingProxyType
from typing import Any

import pytest

from rollout.audience import is_general, selects, slice_holds
from rollout.model import Audience
from tests.builders import a_ring, an_install

TOLD = {"os_version": "12.4", "locale": "de-AT", "country": "AT", "edition": "pro"}
EDITION = MappingProxyType({"edition": ("pro", "free")})

FITTING: list[dict[str, Any]] = [
    {},
    {"groups": ("staff", "press")},
    {"platform": ("linux-x86_64", "macos-arm64")},
    {"os_version": (">=12", "<13")},
    {"locale": ("fr", "de")},
    {"locale": ("DE_at",)},
    {"country": ("de", "at")},
    {"custom": EDITION},
    {"platform": ("linux-x86_64",), "country": ("AT",), "custom": EDITION},
]
OTHERS: list[dict[str, Any]] = [
    {"groups": ("press",)},
    {"platform": ("macos-arm64",)},
    {"os_version": (">=12", "<12.4")},
    {"locale": ("de-DE", "d")},
    {"country": ("DE",)},
    {"custom": MappingProxyType({"edition": ("free",)})},
    {"custom": EDITION, "country": ("DE",)},
]
DOUBTFUL: list[dict[str, Any]] = [
    {"os_version": (">=1",)},
    {"locale": ("de",)},
    {"country": ("AT",)},
    {"custom": EDITION},
    {"unknown": True},
]


@pytest.mark.parametrize("selectors", FITTING)
def test_an_install_that_fits_is_in_the_ring_and_under_the_hold(selectors: dict[str, Any]) -> None:
    install = an_install(groups=["staff"], attributes=TOLD)

    assert selects(Audience(**selectors), install)
    assert slice_holds(Audience(**selectors), install)


@pytest.mark.parametrize("selectors", OTHERS)
def test_an_install_that_differs_is_in_neither(selectors: dict[str, Any]) -> None:
    install = an_install(groups=["staff"], attributes=TOLD)

    assert not selects(Audience(**selectors), install)
    assert not slice_holds(Audience(**selectors), install)


@pytest.mark.parametrize("selectors", DOUBTFUL)
def test_an_install_that_does_not_tell_is_kept_out_and_held(selectors: dict[str, Any]) -> None:
    install = an_install(attributes={"os_version": "unreadable"})

    assert not selects(Audience(**selectors), install)
    assert slice_holds(Audience(**selectors), install)


def test_doubt_about_one_selector_does_not_hold_who_differs_in_another() -> None:
    audience = Audience(unknown=True, country=("DE",))

    assert not slice_holds(audience, an_install(attributes={"country": "AT"}))


def test_a_custom_key_is_no_way_to_name_an_install() -> None:
    install = an_install()

    assert not selects(Audience(custom=MappingProxyType({"id": (install.id,)})), install)


def test_a_ring_is_general_unless_it_names_groups() -> None:
    assert is_general(a_ring(audience=Audience(country=("AT",))))
    assert not is_general(a_ring(audience=Audience(groups=("staff",))))
