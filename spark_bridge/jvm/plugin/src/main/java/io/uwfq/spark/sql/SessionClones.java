package io.uwfq.spark.sql;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.internal.SQLConf;
import scala.Tuple2;

/**
 * Sessions with the settings of others, but for the target size of file scans.
 *
 * <p>Settings are all that a scan reads of its session. So these are clones of an empty session: of
 * a client of a Connect server, a clone would have whatever files it has uploaded once more, which
 * Spark copies on the disk, twice.
 *
 * <p>A clone takes 2 to 20 ms, so clones are kept: per target size and settings, the least recently
 * used dropped first. A {@code SET} makes other settings, so a scan never reads under those that
 * its session has left; sessions of the same settings share a clone.
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

  /** What the clones are made of; null, or of an application that is over: there is none yet. */
  private static SparkSession empty;

  private SessionClones() {}

  /** Applications are compared by identity: Spark gives them no other. */
  private record Key(
      SparkContext application,
      long targetBytes,
      scala.collection.immutable.Map<String, String> settings) {}

  /** A session with the settings of this one whose scans read at most that many bytes per task. */
  static SparkSession withTarget(SparkSession session, long targetBytes) {
    SparkContext application = session.sparkContext();
    Key key =
        new Key(application, targetBytes, Versions.sessionState(session).conf().getAllConfs());
    SparkSession original;
    synchronized (clones) {
      SparkSession known = clones.get(key);
      if (known != null) {
        return known;
      }
      if (empty == null || empty.sparkContext() != application) {
        empty = session.newSession();
      }
      original = empty;
    }
    // Outside the lock: two threads may both make one, which is cheaper than waiting in a row.
    SparkSession clone = Versions.cloneOf(original);
    SQLConf conf = Versions.sessionState(clone).conf();
    setAll(conf, key.settings());
    conf.setConfString("spark.sql.files.maxPartitionBytes", targetBytes + "b");
    // A file costs what it holds, and nothing asks for more partitions than that gives.
    conf.setConfString("spark.sql.files.openCostInBytes", "0");
    conf.setConfString("spark.sql.files.minPartitionNum", "1");
    synchronized (clones) {
      clones.keySet().removeIf(old -> old.application().isStopped());
      clones.put(key, clone);
    }
    return clone;
  }

  /** These and no others: the session may have unset some of the application's. */
  private static void setAll(
      SQLConf conf, scala.collection.immutable.Map<String, String> settings) {
    conf.clear();
    for (var each = settings.iterator(); each.hasNext(); ) {
      Tuple2<String, String> setting = each.next();
      conf.setConfString(setting._1(), setting._2());
    }
  }

  /** How many clones are kept. */
  static int size() {
    synchronized (clones) {
      return clones.size();
    }
  }
}
