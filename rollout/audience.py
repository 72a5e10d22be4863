"""Who a ring or a hold is for (docs/trust.md, 3).

An install that lacks an attribute, or an audience with a selector that is not known here,
fails towards staying: a ring does not take the install, a hold keeps it.

Not here: the share of a ring, which is a bucket's business (``rollout.decide``).
"""

from __future__ import annotations

from collections.abc import Callable

from rollout.errors import InvalidVersionError
from rollout.model import Audience, Install, OpenRing
from rollout.versions import os_version_fits, parse_os_version


def selects(audience: Audience, install: Install) -> bool:
    """Whether a ring's *audience* has *install* in it. Doubt says no."""
    return in_groups(audience, install) and has_attributes(audience, install)


def slice_holds(audience: Audience, install: Install) -> bool:
    """Whether a hold's *audience* has *install* in it. Doubt says yes."""
    return in_groups(audience, install) and all(
        fits is not False for fits in _fits(audience, install)
    )


def in_groups(audience: Audience, install: Install) -> bool:
    """Whether *audience* names no groups, or one that *install* is enrolled in."""
    return audience.groups is None or not install.groups.isdisjoint(audience.groups)


def has_attributes(audience: Audience, install: Install) -> bool:
    """Whether all that *audience* says, but for groups, is true of *install*."""
    return all(fits is True for fits in _fits(audience, install))


def is_general(ring: OpenRing) -> bool:
    """Whether *ring* names no group: it draws from everybody, by bucket."""
    return ring.audience.groups is None


def _fits(audience: Audience, install: Install) -> list[bool | None]:
    """Return one answer per selector that *audience* has; None where nobody can tell."""
    answers: list[bool | None] = [None] if audience.unknown else []
    attributes = install.attributes
    if audience.platform is not None:
        answers.append(install.platform in audience.platform)
    if audience.os_version is not None:
        answers.append(_os_fits(attributes.get("os_version"), audience.os_version))
    if audience.locale is not None:
        answers.append(_any(_is_locale, attributes.get("locale"), audience.locale))
    if audience.country is not None:
        answers.append(_any(_is_country, attributes.get("country"), audience.country))
    for key, values in (audience.custom or {}).items():
        answers.append(_any(str.__eq__, attributes.get(key), values))
    return answers


def _os_fits(found: str | None, comparisons: tuple[str, ...]) -> bool | None:
    if found is None:
        return None
    try:
        version = parse_os_version(found)
    except InvalidVersionError:
        return None
    return all(os_version_fits(version, comparison) for comparison in comparisons)


def _any(
    matches: Callable[[str, str], bool], found: str | None, values: tuple[str, ...]
) -> bool | None:
    return None if found is None else any(matches(found, value) for value in values)


def _is_locale(found: str, wanted: str) -> bool:
    # RFC 4647 section 3.3.1: "de" covers "de-DE" and "de-AT". Systems also write de_DE.
    found, wanted = (text.replace("_", "-").lower() for text in (found, wanted))
    return found == wanted or found.startswith(f"{wanted}-")


def _is_country(found: str, wanted: str) -> bool:
    return found.upper() == wanted.upper()
