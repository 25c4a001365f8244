"""A client of a Connect server: asks a question three times, and prints the rows as JSON.

python -m tests.spark.connect_client sc://… 'SELECT …'
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    _, remote, question = sys.argv
    spark = SparkSession.builder.remote(remote).getOrCreate()
    print(json.dumps([[list(row) for row in spark.sql(question).collect()] for _ in range(3)]))
    spark.stop()
