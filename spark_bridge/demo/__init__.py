"""The experiment: long scans and short queries share one Spark application, four times over.

Two users scan a large table again and again; two others ask short questions meanwhile.  The same
data and the same arrivals run on stock Spark under FIFO and under FAIR (one pool per user), and
with the bridge, without and with its partitioning.  What is compared is what users feel (the
response times of each class) and what the operator pays (the makespan).

    python -m spark_bridge.demo              two minutes
    python -m spark_bridge.demo --rounds 3   the figures of ``spark_bridge/results``

Read ``plan.py`` (who asks what, and when), ``experiment.py`` (how it is run), ``report.py`` (how it
is read).
"""
