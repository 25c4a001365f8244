"""What the core is held against: slow models, written from the algorithm's description alone.

No model shares a line with the core.  Everything is exact (``Fraction``) and recomputed from
scratch wherever that is the simplest thing to read.

The models:

- ``fluid``: the ideal cluster, stepped event by event;
- ``deadlines``: virtual deadlines as two chains over it, with the corrections of estimates;
- ``picker``: which task each policy launches next, by sorting everything;
- ``bounds``: how late a job may be;
- ``observer``: what the core's events and state, read plainly, say must come next.

What they are tried with:

- ``workloads``, ``adversaries``: seeded families of workloads, and ones that are made to hurt;
- ``golden``: the vectors of ``tests/golden``;
- ``stories``: random stories of what may happen to virtual time.

What brings both together:

- ``world``: an event heap that lets the oracles or the core run a workload;
- ``subjects``: the oracles and the core behind the one interface that the world drives;
- ``teller``: the commands of the state machine, and what must hold whatever it told;
- ``driver``, ``documents``, ``counting``: the core driven by hand, workloads as documents, costs
  counted in calls.
"""
