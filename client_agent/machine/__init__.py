"""The agent's state machine, as values and one function.

PURE: no I/O, no clock, nothing of ours but ``rollout``. ``values`` are the parts; ``states``,
``events`` and ``effects`` are the words; ``step`` is the table of docs/agent.md, 2, with its rows
in ``run``, ``ready`` and ``trial``, and ``moves`` that several of them make.
"""
