"""What the core is held against: slow models, written from the algorithm's description alone.

Nothing here shares a line with the core.  Everything is exact (``Fraction``) and recomputed from
scratch wherever that is the simplest thing to read.

- ``fluid``: the ideal cluster, stepped event by event;
- ``deadlines``: virtual deadlines as two chains over it, with the corrections of estimates;
- ``picker``: which task each policy launches next, by sorting everything;
- ``workloads``: seeded families of workloads, and adversaries;
- ``world``: an event heap that lets the oracles or the core run a workload;
- ``subjects``: the oracles and the core behind the one interface that the world drives.
"""
