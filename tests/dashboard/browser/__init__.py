"""A package, so that the browser, which lasts for its tests, ends with them."""
