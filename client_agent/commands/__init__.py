"""What ``serinus-agent`` does beyond the loop: one file a command."""
