"""What is installed here and how its starts went: ``state.json`` and ``launches/``."""
