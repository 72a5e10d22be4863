"""How people reach the pages, and sign in: ``[dashboard]`` in ``serinus.toml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """``url`` is where people reach the pages, for links; empty: not told."""

    url: str = ""
