"""The signer: the only process that holds online keys, and the judge of what they sign."""
