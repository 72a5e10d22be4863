"""Use-cases, one verb or noun per file, and the ports that the adapters satisfy.

``agents``: what agents ask for. ``telemetry``, ``crashes``: what installs tell. ``studies``: what
the judge works on. ``rollouts``: what operators do. ``repository``: what is signed. ``access``: who
may. ``notices``: what people are told.
"""
