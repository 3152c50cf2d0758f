"""Redis Cluster behind the contract of one Redis: commands go to the node that has their key.

Not redis-py's ``RedisCluster``: it repeats commands after a connection was lost, when they may have run, and
it waits while the cluster is down. Here only what a node *refused* to run is sent on: MOVED, ASK, TRYAGAIN.
"""
