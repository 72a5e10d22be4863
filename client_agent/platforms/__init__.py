"""What differs between operating systems, behind one Protocol."""

from __future__ import annotations

import sys

from client_agent.platforms.port import Lock, Platform, PlatformSignatureError

__all__ = ["Lock", "Platform", "PlatformSignatureError", "current"]


def current() -> Platform:
    """Return the system that this process runs on.

    Raises:
        OSError: this system is not known.
    """
    # Imported here: each module needs parts of Python that only its own system has.
    if sys.platform == "win32":  # pragma: no cover - needs Windows
        from client_agent.platforms.kernel32 import Kernel32  # noqa: PLC0415
        from client_agent.platforms.windows import Windows  # noqa: PLC0415

        return Windows(Kernel32())
    if sys.platform == "darwin":  # pragma: no cover - needs macOS
        from client_agent.platforms.macos import MacOS  # noqa: PLC0415

        return MacOS()
    if sys.platform != "linux":  # pragma: no cover - needs another system
        raise OSError(f"no agent for {sys.platform}")
    from client_agent.platforms.linux import Linux  # noqa: PLC0415

    return Linux()
