"""Dead letters: what no consumer could handle, read, sent back to work, or given up.

`python -m mesh.dead_letters list|show|replay|drop`; docs/operations.md is its manual.
"""
