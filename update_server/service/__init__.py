"""Use-cases, one verb per file, and the ports that the adapters satisfy."""
