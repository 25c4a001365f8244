"""A client of a Connect server: asks a question three times, and prints the rows as JSON.

python -m tests.spark.connect_client sc://… 'SELECT …' [KEY=VALUE …]

What follows the question is set in the session first.
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    _, remote, question, *settings = sys.argv
    spark = SparkSession.builder.remote(remote).getOrCreate()
    for setting in settings:
        key, _, value = setting.partition("=")
        spark.conf.set(key, value)
    print(json.dumps([[list(row) for row in spark.sql(question).collect()] for _ in range(3)]))
    spark.stop()
