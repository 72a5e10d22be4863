"""Reports of crashes: whose they are, about which version, and how they are counted."""
