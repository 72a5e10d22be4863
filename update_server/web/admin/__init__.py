"""The HTTP app for publishers, operators and dashboards."""
