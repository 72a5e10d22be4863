"""Measurements of what the design pages promise. Nothing here is part of the programs."""
