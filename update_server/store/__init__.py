"""Adapters that keep records in a database."""
