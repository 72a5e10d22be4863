"""The statistics of health decisions: pure, from counts to e-values and verdicts."""
