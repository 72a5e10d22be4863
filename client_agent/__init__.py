"""The agent that is embedded in apps: one class, and what its calls take and return."""

from client_agent.agent import Agent
from client_agent.errors import AgentError, ConfigError
from client_agent.parts import UpdateInfo

__all__ = ["Agent", "AgentError", "ConfigError", "UpdateInfo"]
