package io.uwfq.spark.sql;

import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.internal.SessionState;
import scala.collection.immutable.Map;

/** What reads differently in Spark 4.x. */
final class Versions {
  private Versions() {}

  static HadoopFsRelation copy(
      HadoopFsRelation files, Map<String, String> options, SparkSession session) {
    return files.copy(
        files.location(),
        files.partitionSchema(),
        files.dataSchema(),
        files.bucketSpec(),
        files.fileFormat(),
        options,
        (org.apache.spark.sql.classic.SparkSession) session);
  }

  static boolean isSplittable(HadoopFsRelation files, SparkSession session, Path file) {
    return files
        .fileFormat()
        .isSplitable((org.apache.spark.sql.classic.SparkSession) session, files.options(), file);
  }

  static SessionState sessionState(SparkSession session) {
    return ((org.apache.spark.sql.classic.SparkSession) session).sessionState();
  }

  static SparkSession cloneOf(SparkSession session) {
    return ((org.apache.spark.sql.classic.SparkSession) session).cloneSession();
  }
}
