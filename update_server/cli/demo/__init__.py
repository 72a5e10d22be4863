"""``serinus demo``: the main job on real input, on this machine, in a few minutes.

Everything goes through the public roads: the ``serinus`` command, a real server, real
``serinus-agent`` processes, real programs. Nothing here reaches into the server.
"""
