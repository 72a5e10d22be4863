"""Bytes from elsewhere: requests with bounds, and downloads that resume."""
