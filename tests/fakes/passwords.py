"""Passwords with real hashes, which cost next to nothing."""

from __future__ import annotations

from argon2 import PasswordHasher

from update_server.passwords import Argon2Passwords

QUICK_PASSWORDS = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
