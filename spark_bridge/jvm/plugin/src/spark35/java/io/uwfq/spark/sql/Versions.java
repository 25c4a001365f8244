package io.uwfq.spark.sql;

import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.internal.SessionState;
import scala.collection.immutable.Map;

/** What reads differently in Spark 3.5. */
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
        session);
  }

  static boolean isSplittable(HadoopFsRelation files, SparkSession session, Path file) {
    return files.fileFormat().isSplitable(session, files.options(), file);
  }

  static SessionState sessionState(SparkSession session) {
    return session.sessionState();
  }

  static SparkSession cloneOf(SparkSession session) {
    return session.cloneSession();
  }
}
