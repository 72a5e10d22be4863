"""Rehearsals of a rollout: what a ladder would notice, what it costs, and how it would go."""
