"""Exposure is honest: over a million random installs every ring gets its share.

Counts are sums of independent draws, so each must lie within 4 sigma of its mean. A right
function misses one such bound once in 16,000 seeds, and this seed is fixed.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter

import pytest

from rollout.bucket import BUCKETS, bucket_of
from tests.builders import LADDER, salt_of

pytestmark = pytest.mark.no_cover  # the same lines a million times

INSTALLS = 1_000_000
SEED = 20_261_122
SHARES_BP = sorted({step.exposure_bp for step in LADDER if step.exposure_bp is not None})
ONE_PERCENT = 100


@pytest.fixture(scope="module")
def ids() -> list[str]:
    """Return the install IDs of the fleet."""
    draw = random.Random(SEED)
    return [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(INSTALLS)]


@pytest.fixture(scope="module")
def buckets(ids: list[str]) -> list[int]:
    """Return each install's bucket in one release."""
    salt = salt_of("one")
    return [bucket_of(salt, name) for name in ids]


def test_each_ring_gets_its_share(buckets: list[int]) -> None:
    for exposure_bp in SHARES_BP:
        inside = sum(bucket < exposure_bp for bucket in buckets)
        assert is_within_4_sigma(inside, exposure_bp / BUCKETS), exposure_bp


def test_the_holdback_gets_its_share(buckets: list[int]) -> None:
    held_back = sum(bucket >= BUCKETS - 200 for bucket in buckets)

    assert is_within_4_sigma(held_back, 0.02)


def test_two_releases_draw_their_first_ring_independently(
    ids: list[str], buckets: list[int]
) -> None:
    another = salt_of("two")
    first = [name for name, bucket in zip(ids, buckets, strict=True) if bucket < ONE_PERCENT]

    in_both = sum(bucket_of(another, name) < ONE_PERCENT for name in first)

    assert is_within_4_sigma(in_both, 0.01 * 0.01)


def test_all_buckets_are_equally_likely(buckets: list[int]) -> None:
    counts, expected = Counter(buckets), INSTALLS / BUCKETS

    chi_square = sum((counts[bucket] - expected) ** 2 / expected for bucket in range(BUCKETS))

    degrees = BUCKETS - 1  # the statistic's mean; its variance is twice that
    assert abs(chi_square - degrees) <= 4 * math.sqrt(2 * degrees)


def test_the_bounds_would_notice_a_dishonest_share_or_a_shared_salt(buckets: list[int]) -> None:
    a_tenth_more = sum(bucket < ONE_PERCENT * 1.1 for bucket in buckets)
    with_one_salt = sum(bucket < ONE_PERCENT for bucket in buckets)

    assert not is_within_4_sigma(a_tenth_more, 0.01)
    assert not is_within_4_sigma(with_one_salt, 0.01 * 0.01)


def is_within_4_sigma(count: int, share: float) -> bool:
    sigma = math.sqrt(INSTALLS * share * (1 - share))
    return abs(count - INSTALLS * share) <= 4 * sigma
