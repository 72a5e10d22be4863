"""Reading minidumps in a process of their own.

``reader`` is our side, ``child`` the program of that process, ``answers`` what lies between.
"""

from update_server.minidumps.reader import ChildReader

__all__ = ["ChildReader"]
