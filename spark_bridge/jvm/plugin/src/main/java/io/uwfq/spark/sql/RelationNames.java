package io.uwfq.spark.sql;

import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.plans.logical.LocalRelation;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.columnar.InMemoryRelation;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.execution.datasources.jdbc.JDBCRelation;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2ScanRelation;
import scala.Option;

/**
 * What a leaf of a plan reads, by a name that lasts.
 *
 * <p>A table of a catalog is its database and name. Files without a table are their root paths,
 * with what tells one day's from the next masked: the value in {@code day=2026-01-01}, and parts of
 * a path that are a date or a time of day ({@code 2026-01-01}, {@code 2026/01/01}, {@code
 * 20260101}, {@code 20260101T0600}). A part that merely contains digits ({@code events_2}) keeps
 * them. What a stream reads is the directories of its files. A cached table is the query that
 * filled it. A table of a database is its name there, a query that is asked there its text without
 * literals.
 */
final class RelationNames {
  /** More roots than this tell nothing new, and a query may list thousands of files. */
  private static final int MOST_ROOTS = 1000;

  /** As many, so that a loop of any length stays cheap. */
  private static final int MOST_CACHED = 100;

  private static final String MASK = "*";

  /** A year, a year and month, or a full date, maybe with a time of day; maybe a file's ending. */
  private static final Pattern DATE =
      Pattern.compile(
          "(19|20)\\d{2}([-_.]?\\d{2}([-_.]?\\d{2}([-_.T]?\\d{2}([-_.:]?\\d{2}){0,2}Z?)?)?)?"
              + "(\\.[a-z].*)?");

  /** A month, day, hour or minute; counts only right after a date. */
  private static final Pattern SMALLER_UNIT = Pattern.compile("\\d{1,2}(\\.[a-z].*)?");

  /** In a query that a database is asked: a text, a number, the name that Spark gives the query. */
  private static final Pattern LITERAL =
      Pattern.compile("'[^']*'|\\b\\d+(\\.\\d+)?\\b|SPARK_GEN_SUBQ_\\d+");

  private RelationNames() {}

  static String of(LogicalPlan leaf) {
    if (leaf instanceof LogicalRelation relation) {
      return ofRelation(relation);
    }
    if (leaf instanceof HiveTableRelation table) {
      return ofTable(table.tableMeta().identifier());
    }
    if (leaf instanceof DataSourceV2Relation relation) {
      return ofPath(relation.table().name());
    }
    if (leaf instanceof DataSourceV2ScanRelation scan) {
      return ofPath(scan.relation().table().name());
    }
    if (leaf instanceof InMemoryRelation cached) {
      return ofCached(cached);
    }
    if (leaf instanceof LocalRelation) {
      // Its columns may be named after folded expressions, and so after literals.
      return Integer.toString(leaf.output().size());
    }
    return columnsOf(leaf);
  }

  private static String columnsOf(LogicalPlan leaf) {
    return Scala.<Attribute>list(leaf.output()).stream()
        .map(column -> column.name().toLowerCase(Locale.ROOT))
        .collect(Collectors.joining(","));
  }

  private static String ofRelation(LogicalRelation relation) {
    if (relation.catalogTable().isDefined()) {
      return ofTable(relation.catalogTable().get().identifier());
    }
    if (relation.relation() instanceof HadoopFsRelation files) {
      return Scala.<Path>list(files.location().rootPaths()).stream()
          .limit(MOST_ROOTS)
          // A micro-batch of a stream names its files, which are others each time.
          .map(root -> relation.isStreaming() && !root.isRoot() ? root.getParent() : root)
          .map(root -> ofPath(root.toString()))
          .distinct()
          .sorted()
          .collect(Collectors.joining(","));
    }
    if (relation.relation() instanceof JDBCRelation table) {
      String query = table.jdbcOptions().tableOrQuery();
      return table.jdbcOptions().url() + ' ' + LITERAL.matcher(query).replaceAll(MASK);
    }
    // Of sources that are not Spark's own nothing else is known.
    return relation.relation().getClass().getName() + ' ' + columnsOf(relation);
  }

  /** An argument of a command: the table that it names; empty if it is anything else. */
  static String ofArgument(Object argument) {
    if (argument instanceof TableIdentifier table) {
      return ofTable(table);
    }
    return argument instanceof CatalogTable table ? ofTable(table.identifier()) : "";
  }

  private static String ofTable(TableIdentifier table) {
    Option<String> database = table.database();
    return ((database.isDefined() ? database.get() + "." : "") + table.table())
        .toLowerCase(Locale.ROOT);
  }

  /**
   * The queries that filled it and the cached tables behind it, each once: what a loop makes of the
   * last round's table and caches again has the same name in each round.
   */
  private static String ofCached(InMemoryRelation cached) {
    return CachedQueries.behind(cached).stream()
        .limit(MOST_CACHED)
        .map(query -> query.map(RelationNames::ofQuery).orElse(""))
        .distinct()
        .sorted()
        .collect(Collectors.joining(","));
  }

  private static String ofQuery(LogicalPlan query) {
    return CachedQueries.isReader(query)
        ? PlanSignature.withoutCachedTables(query)
        : QueryShapes.ownSignature(query);
  }

  /** A path without its dates. */
  static String ofPath(String path) {
    StringBuilder name = new StringBuilder();
    boolean afterDate = false;
    for (String part : List.of(path.split("/", -1))) {
      int equals = part.indexOf('=');
      boolean date =
          DATE.matcher(part).matches() || afterDate && SMALLER_UNIT.matcher(part).matches();
      if (equals > 0) {
        name.append(part, 0, equals + 1).append(MASK);
      } else {
        name.append(date ? MASK : part);
      }
      name.append('/');
      afterDate = date;
    }
    return name.toString();
  }
}
