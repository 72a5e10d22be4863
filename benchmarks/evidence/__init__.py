"""The acceptance numbers of the statistics, measured; see README.md one folder up."""
