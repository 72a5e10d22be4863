"""The agent's errors: a category, a code from the one table below, and a detail for people.

Categories answer "whose fault?": ``network`` (between us and the server), ``trust`` (what was
served does not verify), ``disk``, ``payload`` and ``delta`` (what was signed does not unpack),
``policy`` (not now), ``launch`` (it does not start), ``state`` (our own records), ``agent`` (us).
``category`` and ``code`` are what an ``update`` event with phase ``failed`` carries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Category(StrEnum):
    """Which part a failure belongs to."""

    NETWORK = "network"
    TRUST = "trust"
    DISK = "disk"
    PAYLOAD = "payload"
    DELTA = "delta"
    POLICY = "policy"
    LAUNCH = "launch"
    STATE = "state"
    AGENT = "agent"


class Code(StrEnum):
    """What failed. The comment says when."""

    # network
    UNREACHABLE = "unreachable"  # no connection, name, TLS handshake or answer
    TIMED_OUT = "timed_out"  # the whole exchange took longer than it may
    HTTP_STATUS = "http_status"  # an answer that is no success
    UNEXPECTED_ANSWER = "unexpected_answer"  # a captive portal, a wrong type, an encoding
    ASKED_TO_WAIT = "asked_to_wait"  # the server's Retry-After is not over
    TOO_LARGE = "too_large"  # more bytes than the cap of that answer
    PROXY_REFUSED = "proxy_refused"  # the proxy wants to know who we are, or nobody tells
    UNSAFE_URL = "unsafe_url"  # http to another host than this one
    # Trust: docs/trust.md, 6.
    EXPIRED = "expired"
    BAD_VERSION = "bad_version"
    UNSIGNED = "unsigned"
    LENGTH_MISMATCH = "length_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    BAD_DOCUMENT = "bad_document"
    CLOCK = "clock"
    POLICY_ROLLBACK = "policy_rollback"
    TIMESTAMP_ROLLBACK = "timestamp_rollback"
    REDIRECT = "redirect"
    TOO_SLOW = "too_slow"
    PLATFORM_SIGNATURE = "platform_signature"
    RACE = "race"  # what was verified is not what is there now
    # disk
    NO_SPACE = "no_space"
    IO = "io"
    NOT_WRITABLE = "not_writable"
    NEEDS_ELEVATION = "needs_elevation"
    UNSUPPORTED_FILESYSTEM = "unsupported_filesystem"
    # payload
    BAD_PAYLOAD = "bad_payload"
    BAD_MANIFEST = "bad_manifest"
    MANIFEST_MISMATCH = "manifest_mismatch"  # its SHA-256 is not the signed one
    BAD_NAME = "bad_name"
    OVER_CAP = "over_cap"
    DAMAGED = "damaged"  # a finished directory no longer matches its manifest
    # Delta: these, and those of payload; its DAMAGED is also the tree that it starts from.
    BAD_DELTA = "bad_delta"
    MISSING = "missing"  # no mirror has the delta that was signed
    WRONG_BASE = "wrong_base"  # it starts from another tree than it should
    # launch
    CANNOT_START = "cannot_start"
    CRASHED = "crashed"
    NOT_HEALTHY = "not_healthy"
    TRIES_USED_UP = "tries_used_up"
    # policy
    DEFERRED = "deferred"  # a person, the app or a setting says: not now
    BROKEN_POLICY = "broken_policy"  # the app's hook raised, hung or gave no verdict
    DATA_SCHEMA = "data_schema"  # that version could not read the app's data
    BAD_CODE = "bad_code"  # an enrolment code that the server does not take
    # state
    BUSY = "busy"  # another agent holds the lock
    RECOVERED = "recovered"
    LOST = "lost"
    # agent
    BAD_CONFIG = "bad_config"
    INTERNAL = "internal"


class AgentError(Exception):
    """Base of the tree; never raised itself."""

    category: ClassVar[Category]

    def __init__(self, code: Code, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{self.category}/{code}" + (f": {detail}" if detail else ""))


class NetworkError(AgentError):
    """The server or the way to it. ``retry_after_seconds`` is what the server asked for."""

    category = Category.NETWORK

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        super().__init__(code, detail)


class TrustError(AgentError):
    """What was served is not what was signed."""

    category = Category.TRUST


class DiskError(AgentError):
    """The disk, or ROOT on it."""

    category = Category.DISK


class PayloadError(AgentError):
    """A signed payload or a finished directory is not what its manifest says."""

    category = Category.PAYLOAD


class DeltaError(AgentError):
    """A signed delta, or the tree that it starts from, does not make the signed tree."""

    category = Category.DELTA


class PolicyError(AgentError):
    """What was asked is not allowed, or not now."""

    category = Category.POLICY


class LaunchError(AgentError):
    """A version does not start, or does not stay up."""

    category = Category.LAUNCH


class StateError(AgentError):
    """The agent's own records or locks."""

    category = Category.STATE


class ConfigError(AgentError):
    """A setting that cannot be; ``key`` names it."""

    category = Category.AGENT

    def __init__(self, key: str, detail: str) -> None:
        self.key = key
        super().__init__(Code.BAD_CONFIG, f"{key}: {detail}")


class InternalError(AgentError):
    """A fault of ours, caught at the edge of the loop."""

    category = Category.AGENT
