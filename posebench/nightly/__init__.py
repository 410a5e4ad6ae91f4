"""A suite of models, measured every night: what moved since the last good night, and why.

``suite`` says what to measure, ``work`` measures, ``nightly_run`` goes through one run, ``state``
lets it survive being killed, ``history`` keeps what was found, ``changes`` compares, ``reasons``
names the likely cause, and ``pages`` and ``junit`` write it down.
"""

from __future__ import annotations
