"""What a check-in tells the server, what it answers, and who this install is."""
