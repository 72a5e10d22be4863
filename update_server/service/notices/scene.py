"""What is to be known of a rollout, and of a crash, to speak of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How many installs may get a release now, of how many, and when more may.

    ``after_ring`` is None at the last step of the ladder; ``not_before`` is when that is open.
    """

    installs: int
    of: int
    after_ring: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignature:
    """A crash by its signature's ``id``, and on how many installs of each arm it was seen.

    ``log_e`` and ``needed``, at which it pauses, are in nats.
    """

    id: str
    candidate: int
    candidates: int
    control: int
    controls: int
    log_e: float
    needed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a message is about. ``by`` is a person's name; None: the server did it by itself.

    ``running`` installs were last seen on the version, ``of`` on the channel; ``unheard`` of the
    former were not heard of for a day. So many ``people`` resume it; ``back_to`` is where a pull
    sends installs. ``title`` is that of the crash most seen.
    """

    app: str
    channel: str
    version: str
    ring: str
    at: datetime
    by: str | None = None
    reason: str = ""
    running: int = 0
    of: int = 0
    unheard: int = 0
    people: int = 1
    back_to: str | None = None
    title: str = ""
    reach: Reach | None = None

    @property
    def more(self) -> str:
        """How to see more."""
        return f"serinus rollout show {self.version}"

    @property
    def where(self) -> str:
        """Version and ring, as subjects have them."""
        return f"{self.version} ring {self.ring}"
