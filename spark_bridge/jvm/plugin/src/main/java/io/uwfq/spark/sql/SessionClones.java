package io.uwfq.spark.sql;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.internal.SQLConf;

/**
 * Copies of sessions that differ in the target size of file scans alone.
 *
 * <p>A copy takes 2 to 20 ms, so copies are kept: per session, target size and state of the
 * session's settings, the least recently used dropped first. A {@code SET} makes a new state, so a
 * scan never reads under settings that its session has left.
 */
final class SessionClones {
  private static final int CAPACITY = 64;

  private static final Map<Key, SparkSession> clones =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, SparkSession> eldest) {
          return size() > CAPACITY;
        }
      };

  private SessionClones() {}

  /** Sessions are compared by identity: Spark gives them no other. */
  private record Key(
      SparkSession session,
      long targetBytes,
      scala.collection.immutable.Map<String, String> settings) {}

  /** A copy of this session whose scans read at most that many bytes per task. */
  static SparkSession withTarget(SparkSession session, long targetBytes) {
    Key key = new Key(session, targetBytes, Versions.sessionState(session).conf().getAllConfs());
    synchronized (clones) {
      SparkSession known = clones.get(key);
      if (known != null) {
        return known;
      }
    }
    // Outside the lock: two threads may both make one, which is cheaper than waiting in a row.
    SparkSession clone = Versions.cloneOf(session);
    SQLConf conf = Versions.sessionState(clone).conf();
    conf.setConfString("spark.sql.files.maxPartitionBytes", targetBytes + "b");
    // A file costs what it holds, and nothing asks for more partitions than that gives.
    conf.setConfString("spark.sql.files.openCostInBytes", "0");
    conf.setConfString("spark.sql.files.minPartitionNum", "1");
    synchronized (clones) {
      clones.keySet().removeIf(old -> old.session().sparkContext().isStopped());
      clones.put(key, clone);
    }
    return clone;
  }

  /** How many copies are kept. */
  static int size() {
    synchronized (clones) {
      return clones.size();
    }
  }
}
