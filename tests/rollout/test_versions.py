import pytest
from packaging.version import Version

from rollout.errors import InvalidVersionError
from rollout.versions import (
    check_os_comparison,
    os_version_fits,
    parse_canonical_version,
    parse_os_version,
    parse_version,
    render_version,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2.3.0", "2.3.0"),
        ("v2.3.0", "2.3.0"),
        ("2.3", "2.3"),
        ("2026.11.22", "2026.11.22"),
        ("1.2.3-beta.1", "1.2.3b1"),
        ("1.2.3-alpha", "1.2.3a0"),
        ("1.2.3-rc.2", "1.2.3rc2"),
        ("1.2.3-rc.2+build.5", "1.2.3rc2+build.5"),
        ("1.2.3-dev.4", "1.2.3.dev4"),
        ("1.2.3.post1", "1.2.3.post1"),
        ("1" * 64, "1" * 64),
    ],
)
def test_a_version_has_one_canonical_spelling(text: str, canonical: str) -> None:
    assert render_version(parse_version(text)) == canonical
    assert parse_canonical_version(canonical) == parse_version(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "1!2.0",
        "1.2.3-1",
        "1.2.3-1+build",
        "1.2.3-beta.1-2",
        "1.2.3-alpha.1.2",
        " 1.0",
        "1.0\n",
        "\uff11.0",
        "1.0.po\u017ft1",
        "1" * 65,
        "1.0 || rm",
        "../1.0",
    ],
)
def test_what_is_no_version_or_an_ambiguous_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersionError) as caught:
        parse_version(text)

    assert caught.value.text == text


@pytest.mark.parametrize("text", ["v1.0", "1.0-beta.1", "01.0", "1.0.POST1"])
def test_a_document_needs_the_canonical_spelling(text: str) -> None:
    with pytest.raises(InvalidVersionError):
        parse_canonical_version(text)


def test_versions_are_ordered_by_their_numbers() -> None:
    texts = ["1.10", "1.9", "1.9-rc.1", "1.9.post1", "1.9-alpha.2", "1.9-alpha.10"]

    ordered = sorted(texts, key=parse_version)

    assert ordered == ["1.9-alpha.2", "1.9-alpha.10", "1.9-rc.1", "1.9", "1.9.post1", "1.10"]


def test_trailing_zeros_make_no_other_version() -> None:
    assert parse_version("2.0") == parse_version("2.0.0") == Version("2")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("12", (12,)),
        ("10.0.17763", (10, 0, 17763)),
        ("6.8.0-45-generic", (6, 8, 0)),
        ("14.5 (23F79)", (14, 5)),
    ],
)
def test_a_system_version_is_its_leading_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_os_version(text) == numbers


@pytest.mark.parametrize(
    "text", ["", "vista", "12beta", "12.", ".12", "-1", "1" * 10, "1.2.3.4.5.6.7.8.9"]
)
def test_a_system_version_without_clear_numbers_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersionError):
        parse_os_version(text)


@pytest.mark.parametrize(
    ("found", "comparison", "fits"),
    [
        ((12,), ">=12", True),
        ((12,), ">=12.0.0", True),
        ((12, 0, 1), ">12", True),
        ((12,), ">12", False),
        ((9, 10), ">=9.9", True),
        ((12,), "<=12", True),
        ((12, 1), "<=12", False),
        ((12,), "<12", False),
        ((11, 9), "<12", True),
        ((12, 0), "==12", True),
        ((12, 1), "==12", False),
    ],
)
def test_system_versions_compare_part_by_part(
    found: tuple[int, ...], comparison: str, fits: bool
) -> None:
    assert os_version_fits(found, check_os_comparison(comparison)) is fits


@pytest.mark.parametrize("text", ["12", "=12", "~=12", ">= 12", ">=", ">=vista", "!=12"])
def test_an_unknown_comparison_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersionError):
        check_os_comparison(text)
