"""What operators do to rollouts, and how these stand."""
