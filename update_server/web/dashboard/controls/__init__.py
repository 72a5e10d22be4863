"""One kind of form a file: what people press, done by what the API does it with."""
