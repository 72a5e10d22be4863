"""Signed metadata: refreshed, verified, remembered, and what follows from it."""
