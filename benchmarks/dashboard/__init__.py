"""What pages cost, at many installs and releases."""
