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

INSTALLS = 1_000_000
SEED = 20_261_122
SHARES_BP = sorted({step.exposure_bp for step in LADDER if step.exposure_bp is not None})
ONE_PERCENT = 100


@pytest.fixture(scope="module")
def buckets() -> tuple[list[int], list[int]]:
    """Return the buckets of the same installs in two releases."""
    draw = random.Random(SEED)
    ids = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(INSTALLS)]
    one, two = salt_of("one"), salt_of("two")
    return [bucket_of(one, name) for name in ids], [bucket_of(two, name) for name in ids]


def test_each_ring_gets_its_share(buckets: tuple[list[int], list[int]]) -> None:
    for release in buckets:
        for exposure_bp in SHARES_BP:
            inside = sum(bucket < exposure_bp for bucket in release)
            assert is_within_4_sigma(inside, exposure_bp / BUCKETS), exposure_bp


def test_the_holdback_gets_its_share(buckets: tuple[list[int], list[int]]) -> None:
    for release in buckets:
        held_back = sum(bucket >= BUCKETS - 200 for bucket in release)
        assert is_within_4_sigma(held_back, 0.02)


def test_two_releases_draw_their_first_ring_independently(
    buckets: tuple[list[int], list[int]],
) -> None:
    in_both = sum(
        one < ONE_PERCENT and two < ONE_PERCENT for one, two in zip(*buckets, strict=True)
    )

    assert is_within_4_sigma(in_both, 0.01 * 0.01)


def test_all_buckets_are_equally_likely(buckets: tuple[list[int], list[int]]) -> None:
    counts, expected = Counter(buckets[0]), INSTALLS / BUCKETS

    chi_square = sum((counts[bucket] - expected) ** 2 / expected for bucket in range(BUCKETS))

    degrees = BUCKETS - 1  # the statistic's mean; its variance is twice that
    assert abs(chi_square - degrees) <= 4 * math.sqrt(2 * degrees)


def test_the_bounds_would_notice_a_dishonest_share_or_a_shared_salt(
    buckets: tuple[list[int], list[int]],
) -> None:
    a_tenth_more = sum(bucket < ONE_PERCENT * 1.1 for bucket in buckets[0])
    with_one_salt = sum(bucket < ONE_PERCENT for bucket in buckets[0])

    assert not is_within_4_sigma(a_tenth_more, 0.01)
    assert not is_within_4_sigma(with_one_salt, 0.01 * 0.01)


def is_within_4_sigma(count: int, share: float) -> bool:
    sigma = math.sqrt(INSTALLS * share * (1 - share))
    return abs(count - INSTALLS * share) <= 4 * sigma
