"""The Python client of UWFQ: submit jobs, watch them, and write workers."""
