package io.uwfq.spark.sql;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.sources.BaseRelation;
import scala.Option;
import scala.collection.immutable.Map;

/**
 * The file relations that can be cut finer or coarser without a change of what they read, and the
 * marks in their options.
 *
 * <p>Options, because two relations that differ in nothing but their session are equal, and Spark's
 * tree transformations drop a copy that is equal to its original.
 */
final class FileRelations {
  /**
   * What the service knows the query by that reads it. Options are case-insensitive: lower case.
   */
  private static final String SIGNATURE = "uwfq.signature";

  /** The signature of that query by itself, whatever command runs it. */
  private static final String OWN_SIGNATURE = "uwfq.ownsignature";

  /** There if the query's rows depend on how it is cut. */
  private static final String LEAVE = "uwfq.leave";

  /** The bytes that a task reads at most. */
  private static final String TARGET_BYTES = "uwfq.targetbytes";

  /**
   * Spark's own formats, by name since Avro's is not always there. Formats of others (Delta's
   * Parquet, say) may tie a meaning to their options or splits.
   */
  private static final Set<String> FORMATS =
      Set.of(
          "org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat",
          "org.apache.spark.sql.execution.datasources.orc.OrcFileFormat",
          "org.apache.spark.sql.hive.orc.OrcFileFormat",
          "org.apache.spark.sql.execution.datasources.csv.CSVFileFormat",
          "org.apache.spark.sql.execution.datasources.json.JsonFileFormat",
          "org.apache.spark.sql.execution.datasources.text.TextFileFormat",
          "org.apache.spark.sql.avro.AvroFileFormat");

  /** In these a line feed is one byte that is part of no other character. */
  private static final Set<String> SPLITTABLE_ENCODINGS =
      Set.of("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1");

  private FileRelations() {}

  static boolean isSupported(BaseRelation relation) {
    return relation instanceof HadoopFsRelation files
        && FORMATS.contains(files.fileFormat().getClass().getName())
        && hasSplittableEncoding(files.options());
  }

  /** A copy that carries its query's signatures, in the place of any that it carried before. */
  static BaseRelation marked(
      BaseRelation relation, String signature, String ownSignature, boolean mayCut) {
    HadoopFsRelation files = (HadoopFsRelation) relation;
    Map<String, String> options = files.options().updated(SIGNATURE, signature);
    options = options.updated(OWN_SIGNATURE, ownSignature);
    return Versions.copy(files, mayCut ? options : options.updated(LEAVE, "true"), session(files));
  }

  /** A copy that reads at most that many bytes per task, since its session says so. */
  static HadoopFsRelation cut(HadoopFsRelation files, long targetBytes, SparkSession session) {
    return Versions.copy(
        files, files.options().updated(TARGET_BYTES, Long.toString(targetBytes)), session);
  }

  /** What the service knows the query by that reads it; empty: the relation is not marked. */
  static Optional<String> signature(BaseRelation relation) {
    return mark(relation, SIGNATURE);
  }

  /** The signature of that query by itself; empty: the relation is not marked. */
  static Optional<String> ownSignature(BaseRelation relation) {
    return mark(relation, OWN_SIGNATURE);
  }

  private static Optional<String> mark(BaseRelation relation, String key) {
    return relation instanceof HadoopFsRelation files
        ? Optional.ofNullable(get(files.options(), key))
        : Optional.empty();
  }

  /** Whether it is marked as one that may be cut, and is not cut yet. */
  static boolean mayCut(HadoopFsRelation files) {
    return get(files.options(), SIGNATURE) != null
        && get(files.options(), LEAVE) == null
        && get(files.options(), TARGET_BYTES) == null;
  }

  static SparkSession session(HadoopFsRelation files) {
    return files.sparkSession();
  }

  private static boolean hasSplittableEncoding(Map<String, String> options) {
    String encoding =
        Optional.ofNullable(find(options, "encoding")).orElse(find(options, "charset"));
    return encoding == null || SPLITTABLE_ENCODINGS.contains(encoding.toLowerCase(Locale.ROOT));
  }

  private static String get(Map<String, String> options, String key) {
    Option<String> value = options.get(key);
    return value.isDefined() ? value.get() : null;
  }

  /** Like {@link #get}, where the map may not be case-insensitive. */
  private static String find(Map<String, String> options, String key) {
    scala.collection.Iterator<scala.Tuple2<String, String>> entries = options.iterator();
    while (entries.hasNext()) {
      scala.Tuple2<String, String> entry = entries.next();
      if (entry._1().equalsIgnoreCase(key)) {
        return entry._2();
      }
    }
    return null;
  }
}
