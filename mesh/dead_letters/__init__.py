"""Dead letters: what no consumer could handle, read, sent back to work, or given up.

`python -m admin dead-letters` is the command; docs/operations.md is its manual.
"""
