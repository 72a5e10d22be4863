"""The loop, and what carries out the effects of the state machine."""
