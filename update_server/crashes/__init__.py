"""Crash signatures: pure, from a report to the name under which equal crashes are counted."""
