"""One page a file: what the API answers, put into a template."""
