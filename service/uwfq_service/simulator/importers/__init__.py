"""Readers of what others recorded, each of which makes a workload of it.

`google.py` reads a cluster trace, `spark_log.py` Spark's event logs, `journal.py` the journal of a
service.  They know the format that they read and the format of workloads, and nothing else.
"""
