"""What the agent promises of updates: sizes, memory, time, and that faults cost nothing more."""
