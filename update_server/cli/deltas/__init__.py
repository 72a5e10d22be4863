"""Deltas, on the publisher's machine: from the older release's tree to a file that is proven.

``of_release`` asks ``bases`` for what most installs run, and ``making`` for trees and deltas, each
in a process of its own. In there ``steps`` says how each entry comes about, by ``matches`` of old
and new bytes, and ``writer`` spells that, with ``patch``, in the format of docs/agent.md, 9.
"""
