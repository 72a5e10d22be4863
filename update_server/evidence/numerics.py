"""Sums of exponentials, log binomials and the fingerprint of this machine's mathematics.

E-values span hundreds of orders of magnitude, so they are kept as natural logarithms (nats)
everywhere, and compared as logarithms.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import cache
from math import exp, fsum, inf, ldexp, lgamma, log, log1p

_INPUTS = 1_000
_KNUTH = 2_654_435_761  # 2^32 / golden ratio: multiples of it spread evenly modulo 2^32


def log_sum_exp(logs: Sequence[float]) -> float:
    """Return log(sum(exp(a))) over *logs*, without overflow; -inf entries are zero terms.

    ``fsum`` rounds once, so that the order of the terms does not show in the result.

    Raises:
        ValueError: *logs* is empty.
    """
    largest = max(logs)
    if largest == -inf:
        return -inf
    return largest + log(fsum([exp(a - largest) for a in logs]))


def weighted_log_sum(logs: Sequence[float], log_weights: Sequence[float]) -> float:
    """Return log(sum(w * exp(a))), the weights given as logarithms; a weight of zero is -inf.

    A point without weight is left out before the largest term is looked for: such a term may be
    far above all that count, and they would underflow beside it.

    Raises:
        ValueError: the two differ in length, or no weight is above zero.
    """
    return log_sum_exp([a + w for a, w in zip(logs, log_weights, strict=True) if w > -inf])


def log_binomial(n: int, k: int) -> float:
    """Return the logarithm of "n choose k" for 0 <= k <= n.

    The error is a few units in the last place of lgamma(n): 1e-10 for n = 100,000.
    """
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


@cache
def math_sha256() -> str:
    """Return the SHA-256, in hex, of what this machine's C library computes.

    Hashed are the little-endian doubles that log, log1p, exp and lgamma return, in this order,
    for each of 1,000 inputs between 2^-7 and 2^9. Two machines that agree here recompute a
    decision bit by bit; others to 1e-9, for C libraries differ in the last bit.
    """
    digest = hashlib.sha256()
    for index in range(_INPUTS):
        # No function of the C library takes part here: each input is exact everywhere.
        x = ldexp(1 + index * _KNUTH % 2**32 / 2**32, index // 63 - 7)
        digest.update(struct.pack("<4d", log(x), log1p(x), exp(x), lgamma(x)))
    return digest.hexdigest()
