package io.uwfq.spark.sql;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.internal.SQLConf;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A rule that can only ever improve a plan: without a bridge, when it is switched off, and when
 * anything goes wrong, the plan stays as Spark made it.
 */
abstract class QueryRule<P extends TreeNode<?>> extends Rule<P> {
  private static final Logger log = LoggerFactory.getLogger(QueryRule.class);
  private static final AtomicBoolean absenceLogged = new AtomicBoolean();
  private static final Set<String> loggedOnce = ConcurrentHashMap.newKeySet();

  final SparkSession session;

  QueryRule(SparkSession session) {
    this.session = session;
  }

  /** The better plan, or the same. Called only while partitioning is on. May throw anything. */
  abstract P rewrite(P plan, Bridge bridge, PartitioningSettings settings);

  @Override
  public final P apply(P plan) {
    Bridge bridge = Bridge.current().orElse(null);
    if (bridge == null) {
      if (absenceLogged.compareAndSet(false, true)) {
        log.warn(
            "UwfqExtensions is loaded, but the plugin does not run: queries stay as Spark cuts "
                + "them. Set spark.plugins=io.uwfq.spark.UwfqPlugin when the application starts.");
      }
      return plan;
    }
    try {
      PartitioningSettings settings = settingsOf(bridge);
      return settings.enabled() ? rewrite(plan, bridge, settings) : plan;
    } catch (Exception | LinkageError | AssertionError | StackOverflowError e) {
      bridge.conversation().figures().planningErrors.increment();
      if (loggedOnce.add(getClass().getName())) {
        log.warn(
            "{} failed: the query runs as Spark planned it. Said once; "
                + "the metric errors.planning counts on.",
            getClass().getSimpleName(),
            e);
      }
      return plan;
    }
  }

  /** The application's settings with what the session says otherwise, at this moment. */
  private static PartitioningSettings settingsOf(Bridge bridge) {
    SQLConf conf = SQLConf.get();
    try {
      return bridge.partitioning().overriddenBy(key -> conf.getConfString(key, null));
    } catch (IllegalArgumentException e) {
      if (loggedOnce.add(e.getMessage())) {
        log.warn("{}. This session goes on with the application's settings.", e.getMessage());
      }
      return bridge.partitioning();
    }
  }
}
