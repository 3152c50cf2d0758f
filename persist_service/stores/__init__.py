"""What this service keeps: MongoDB's database ``parley``, one collection per file, and what Redis has.

Unless a docstring says otherwise, a method raises ``Unavailable`` naming the server when that cannot be
reached (the effect is then unknown, and doing it again is safe), and returning means: durable on a majority.
"""
