"""The ``serinus`` command: for publishers, operators and whoever runs the server."""
