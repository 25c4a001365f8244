package io.uwfq.spark.sql;

import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.adaptive.CoalesceShufflePartitions;
import org.apache.spark.sql.internal.SQLConf;

/** Spark's own joining of neighbouring shuffle partitions, towards one stage's target size. */
final class StageCoalescing extends CoalesceShufflePartitions {
  private final SQLConf conf;

  /** For Spark 3.5. */
  StageCoalescing(SparkSession session, SQLConf base, long targetBytes) {
    super(session);
    conf = base.clone();
    conf.setConfString("spark.sql.adaptive.advisoryPartitionSizeInBytes", targetBytes + "b");
    conf.setConfString("spark.sql.adaptive.coalescePartitions.parallelismFirst", "false");
    conf.setConfString("spark.sql.adaptive.coalescePartitions.minPartitionSize", "1b");
  }

  @Override
  public SQLConf conf() {
    return conf;
  }
}
