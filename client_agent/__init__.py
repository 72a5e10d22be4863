"""The agent that is embedded in apps: one class, and what its calls take and return.

Each is loaded when it is first asked for: the child that unpacks an update needs little of the
package, and starts in a quarter of the time without the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client_agent.agent import Agent
    from client_agent.consent.policy import Allow, Defer, Policy, UpdateInfo
    from client_agent.errors import AgentError, ConfigError

__all__ = ["Agent", "AgentError", "Allow", "ConfigError", "Defer", "Policy", "UpdateInfo"]

_HOMES = {
    "Agent": "agent",
    "AgentError": "errors",
    "Allow": "consent.policy",
    "ConfigError": "errors",
    "Defer": "consent.policy",
    "Policy": "consent.policy",
    "UpdateInfo": "consent.policy",
}


def __getattr__(name: str) -> Any:
    """Return what an app imports from here."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
