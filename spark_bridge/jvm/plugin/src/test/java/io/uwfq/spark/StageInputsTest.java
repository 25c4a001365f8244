package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.uwfq.spark.conversation.StageKind;
import java.util.Arrays;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapred.FileSplit;
import org.apache.spark.Partition;
import org.apache.spark.paths.SparkPath;
import org.apache.spark.rdd.HadoopPartition;
import org.apache.spark.rdd.NewHadoopPartition;
import org.apache.spark.sql.execution.CoalescedPartitionSpec;
import org.apache.spark.sql.execution.PartialMapperPartitionSpec;
import org.apache.spark.sql.execution.PartialReducerPartitionSpec;
import org.apache.spark.sql.execution.ShufflePartitionSpec;
import org.apache.spark.sql.execution.ShuffledRowRDDPartition;
import org.apache.spark.sql.execution.datasources.FilePartition;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.junit.jupiter.api.Test;
import scala.Option;

class StageInputsTest {
  /** A scan reads its files' parts. */
  @Test
  void filesAreAddedUp() {
    StageInputs inputs = StageInputs.of(array(scan(10, 20), scan(), scan(5)), false);
    assertArrayEquals(new long[] {30, 0, 5}, inputs.taskBytes());
    assertEquals(StageKind.SCAN, inputs.kind());
  }

  /** Splits of Hadoop RDDs of both APIs say their length. */
  @Test
  void hadoopSplitsAreRead() {
    Partition old = new HadoopPartition(0, 0, new FileSplit(new Path("f"), 0, 11, new String[0]));
    Partition current =
        new NewHadoopPartition(
            0,
            1,
            new org.apache.hadoop.mapreduce.lib.input.FileSplit(
                new Path("f"), 0, 12, new String[0]));
    StageInputs inputs = StageInputs.of(array(old, current), false);
    assertArrayEquals(new long[] {11, 12}, inputs.taskBytes());
    assertEquals(StageKind.SCAN, inputs.kind());
  }

  /** Splits of others' formats may fail to say their length: the others' is what is known. */
  @Test
  void splitsWithoutALengthAreUnknown() {
    Partition broken =
        new HadoopPartition(
            0,
            0,
            new FileSplit(new Path("f"), 0, 11, new String[0]) {
              @Override
              public long getLength() {
                throw new UnsupportedOperationException("no length");
              }
            });
    Partition whole = new HadoopPartition(0, 1, new FileSplit(new Path("f"), 0, 12, new String[0]));
    assertArrayEquals(new long[] {0, 12}, StageInputs.of(array(broken, whole), false).taskBytes());
    assertNull(StageInputs.of(array(broken), false).taskBytes());
  }

  /** Shuffle partitions that adaptive execution has measured say their size. */
  @Test
  void measuredShufflesAreRead() {
    StageInputs inputs =
        StageInputs.of(
            array(
                shuffle(new CoalescedPartitionSpec(0, 3, Option.apply(40L))),
                shuffle(new PartialReducerPartitionSpec(3, 0, 1, 50))),
            true);
    assertArrayEquals(new long[] {40, 50}, inputs.taskBytes());
    assertEquals(StageKind.SHUFFLE, inputs.kind());
  }

  /** Without adaptive execution nothing is known of a shuffle but that it is one. */
  @Test
  void unmeasuredShufflesAreUnknown() {
    StageInputs inputs =
        StageInputs.of(
            array(
                shuffle(new CoalescedPartitionSpec(0, 3, Option.empty())),
                shuffle(new PartialMapperPartitionSpec(0, 0, 1))),
            true);
    assertNull(inputs.taskBytes());
    assertEquals(StageKind.SHUFFLE, inputs.kind());
  }

  /** Of partitions that nobody knows nothing is known; it is no error. */
  @Test
  void otherPartitionsAreUnknown() {
    StageInputs inputs = StageInputs.of(array(() -> 0, () -> 1), false);
    assertNull(inputs.taskBytes());
    assertEquals(StageKind.OTHER, inputs.kind());
    assertNull(StageInputs.of(array(), false).taskBytes());
  }

  private static Partition scan(long... lengths) {
    return new FilePartition(
        0,
        Arrays.stream(lengths)
            .mapToObj(
                length ->
                    new PartitionedFile(
                        null,
                        SparkPath.fromPathString("/f"),
                        0,
                        length,
                        new String[0],
                        0,
                        length,
                        scala.collection.immutable.Map$.MODULE$.empty()))
            .toArray(PartitionedFile[]::new));
  }

  private static Partition shuffle(ShufflePartitionSpec spec) {
    return new ShuffledRowRDDPartition(0, spec);
  }

  private static Partition[] array(Partition... partitions) {
    return partitions;
  }
}
