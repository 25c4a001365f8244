"""Pictures of runs: response times, who had which slot, who was served how much, and how late.

responses   how long jobs took, over all of them and by user
slots       which user had which slot when
service     what each user received over time, against its fluid share
lag         how much later than in the fluid cluster jobs finished, against the bound
style       colours, names, axes: what all pictures have in common
drawing     all of them, for every workload, as files

Needs matplotlib (the extra ``simulate``), which takes half a second to import: import this package
where pictures are wanted, not before.
"""

from uwfq_service.simulator.plots.drawing import Plot, draw, draw_all, save
from uwfq_service.simulator.plots.service import FluidService

__all__ = ["FluidService", "Plot", "draw", "draw_all", "save"]
