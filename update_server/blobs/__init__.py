"""Adapters that keep bytes: a local directory, object storage."""
