"""What agents ask for, answered from memory: check-ins, files, enrolment."""
