"""Files that stay whole, in folders held open, with errors of our own."""
