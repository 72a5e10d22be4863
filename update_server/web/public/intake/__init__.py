"""Crash intake over HTTP: what SDKs and crash handlers post below ``/api/``.

Not here: what an envelope says (``crashes.sentry``), whose it is (``service.crashes.reports``).
"""
