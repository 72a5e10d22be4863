"""The HTTP app for agents: check-in, events, metadata, artifacts, feeds."""
