"""From a verified download to a finished version on disk, and when it goes."""
