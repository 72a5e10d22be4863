"""Trust: roles, keys, signers, the signed repository, and verification."""
