"""The serinus command."""
