"""The agent inside each installed app: checks in, verifies, applies, falls back, reports."""
