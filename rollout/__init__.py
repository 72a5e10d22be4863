"""What a rollout means: pure rules, shared by the server and the agent."""
