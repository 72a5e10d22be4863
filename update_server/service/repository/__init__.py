"""The signed repository: taken in, brought into force, renewed, checked, rebuilt."""
