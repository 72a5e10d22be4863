"""What an audience may ask of this machine: its system's version and its language."""

from __future__ import annotations

import locale
import platform
import sys


def system_attributes() -> dict[str, str]:
    """Return ``os_version`` and ``locale``, as far as the system tells them."""
    found = {"os_version": _os_version(), "locale": _locale()}
    return {name: value for name, value in found.items() if value}


def _os_version() -> str:
    if sys.platform == "win32":
        return platform.version()
    if sys.platform == "darwin":
        return platform.mac_ver()[0]
    try:
        return platform.freedesktop_os_release().get("VERSION_ID", "")
    except OSError:
        return ""


def _locale() -> str:
    try:
        language = locale.getlocale()[0]
    except ValueError:  # the environment names one that the system does not have
        return ""
    return (language or "").replace("_", "-")
