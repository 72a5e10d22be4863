"""A package, so that what lasts for its tests ends with them: a server that idles costs others."""
