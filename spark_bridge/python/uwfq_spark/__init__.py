"""The Python side of the Spark bridge: a shared Spark application, fair between its users.

    import uwfq_spark
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("shared")
    spark = uwfq_spark.configure(builder, target="127.0.0.1:7170").getOrCreate()

    with uwfq_spark.user("alice"), uwfq_spark.show_standing():
        spark.range(10**9).selectExpr("sum(id)").show()

Everything that decides runs in Spark's driver, in the jar that ``jar_path`` names; this package
finds it, configures it and says whose a job is.  Importing it does not import PySpark.
"""

from uwfq_spark.configuration import configure, settings
from uwfq_spark.display import show_standing
from uwfq_spark.jar import JarNotFound, UnsupportedSpark, jar_path
from uwfq_spark.standing import Standing, standings
from uwfq_spark.users import current_user, user

__all__ = [
    "JarNotFound",
    "Standing",
    "UnsupportedSpark",
    "configure",
    "current_user",
    "jar_path",
    "settings",
    "show_standing",
    "standings",
    "user",
]
