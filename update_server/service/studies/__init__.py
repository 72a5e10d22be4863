"""Rollouts as the judge sees them: facts, ticks, decisions."""
