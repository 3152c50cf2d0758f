"""Redis Cluster behind the contract of one Redis: commands go to the node that has their key.

Not redis-py's ``RedisCluster``: there the failure of one node ends the connections to all, and no breaker can
tell the nodes apart (docs/architecture.md has the measurements). Only what a node *refused* to run is sent
on: MOVED, ASK, TRYAGAIN; what may have run is never repeated.
"""
