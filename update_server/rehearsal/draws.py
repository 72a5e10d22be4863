"""Where chance comes from: whoever rehearses brings it, with a seed of their own."""

from __future__ import annotations

from typing import Protocol


class Draws(Protocol):
    """What a rehearsal asks of a generator of random numbers, such as ``random.Random``."""

    def random(self) -> float:
        """Return a number from 0 to below 1, all alike."""
        ...

    def expovariate(self, lambd: float) -> float:
        """Return a waiting time with *lambd* events in a unit of time."""
        ...

    def gammavariate(self, alpha: float, beta: float) -> float:
        """Return a number with the mean *alpha* times *beta*."""
        ...

    def lognormvariate(self, mu: float, sigma: float) -> float:
        """Return a number whose logarithm has the mean *mu* and the deviation *sigma*."""
        ...

    def randbytes(self, n: int) -> bytes:
        """Return *n* bytes."""
        ...
