package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.internal.SQLConf;
import org.junit.jupiter.api.Test;

class SessionClonesTest extends LocalSpark {

  /** Spark would copy what clients have uploaded into the session, and that may be gigabytes. */
  @Test
  void aCloneHasNothingOfItsSessionButTheSettings() {
    SparkSession session = spark.newSession();
    session.range(3).createOrReplaceTempView("numbers");
    session.conf().set("spark.sql.parquet.filterPushdown", "false");
    SparkSession clone = SessionClones.withTarget(session, 1000);
    assertFalse(clone.catalog().tableExists("numbers"));
    assertEquals("false", clone.conf().get("spark.sql.parquet.filterPushdown"));
    assertEquals("1000b", clone.conf().get("spark.sql.files.maxPartitionBytes"));
  }

  /** Also what it has unset of the application's. */
  @Test
  void aCloneHasTheSettingsOfThisMoment() {
    SparkSession session = spark.newSession();
    SparkSession before = SessionClones.withTarget(session, 1000);
    String key = "spark.sql.warehouse.dir";
    SQLConf conf = Versions.sessionState(session).conf();
    assertEquals(conf.getAllConfs().get(key), settings(before).get(key));
    conf.unsetConf(key);
    SparkSession after = SessionClones.withTarget(session, 1000);
    assertFalse(settings(after).contains(key));
  }

  @Test
  void sessionsOfTheSameSettingsShareAClone() {
    SparkSession one = spark.newSession();
    SparkSession other = spark.newSession();
    assertSame(SessionClones.withTarget(one, 1000), SessionClones.withTarget(other, 1000));
    assertNotSame(SessionClones.withTarget(one, 1000), SessionClones.withTarget(one, 2000));
    other.conf().set("spark.sql.parquet.filterPushdown", "false");
    assertNotSame(SessionClones.withTarget(one, 1000), SessionClones.withTarget(other, 1000));
  }

  private static scala.collection.immutable.Map<String, String> settings(SparkSession session) {
    return Versions.sessionState(session).conf().getAllConfs();
  }
}
