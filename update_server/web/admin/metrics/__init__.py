"""``GET /metrics``: counters for Prometheus, read from the database when asked for."""

from update_server.web.admin.metrics.route import blueprint

__all__ = ["blueprint"]
