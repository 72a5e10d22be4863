"""What is told of this install: made, scrubbed, kept on disk, sent."""
