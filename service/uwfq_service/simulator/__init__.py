"""The simulator: the service's own core in simulated time, fed with a workload file."""
