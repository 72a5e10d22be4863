"""When an update has to wait: the app's, a person's and the machine's say."""
