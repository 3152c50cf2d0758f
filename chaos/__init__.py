"""Fault injection: the whole mesh as processes, faults on a schedule, clients that write everything down.

`make chaos SECONDS=60 SEED=1` runs it. `chaos.run` puts the parts together; `chaos.checker` decides from what
was written down alone. No service imports this package.
"""
