package io.uwfq.spark;

import io.uwfq.spark.conversation.StageKind;
import java.io.IOException;
import org.apache.spark.Partition;
import org.apache.spark.rdd.CoalescedRDDPartition;
import org.apache.spark.rdd.HadoopPartition;
import org.apache.spark.rdd.NewHadoopPartition;
import org.apache.spark.rdd.UnionPartition;
import org.apache.spark.rdd.ZippedPartitionsPartition;
import org.apache.spark.sql.execution.CoalescedPartitionSpec;
import org.apache.spark.sql.execution.PartialReducerPartitionSpec;
import org.apache.spark.sql.execution.ShuffledRowRDDPartition;
import org.apache.spark.sql.execution.datasources.FilePartition;
import org.apache.spark.sql.execution.datasources.PartitionedFile;

/**
 * What the tasks of a stage read, as far as Spark's partitions tell before they run.
 *
 * <p>Known are files (of DataFrames and of Hadoop RDDs) and the shuffle partitions that adaptive
 * execution has measured, also inside unions, zips and coalesced partitions.
 *
 * @param taskBytes bytes of each task; null: none is known
 * @param kind what they read
 */
public record StageInputs(long[] taskBytes, StageKind kind) {

  /** Unions of unions: as deep as anyone has a use for, and no stack overflows. */
  private static final int MAX_DEPTH = 16;

  /**
   * Adds up what each partition reads. Costs a look at each file of each partition.
   *
   * @param partitions one for each task, in the order of the tasks
   * @param readsShuffle whether the stage follows others
   */
  public static StageInputs of(Partition[] partitions, boolean readsShuffle) {
    long[] taskBytes = new long[partitions.length];
    Sum all = new Sum();
    for (int i = 0; i < partitions.length; i++) {
      Sum task = new Sum();
      task.add(partitions[i], 0);
      taskBytes[i] = task.fileBytes + task.shuffleBytes;
      all.add(task);
    }
    boolean known = all.readsFiles || all.readsSizedShuffle;
    StageKind kind = StageKind.OTHER;
    if (all.readsFiles && all.fileBytes >= all.shuffleBytes) {
      kind = StageKind.SCAN;
    } else if (readsShuffle || all.readsSizedShuffle) {
      kind = StageKind.SHUFFLE;
    }
    return new StageInputs(known ? taskBytes : null, kind);
  }

  private static final class Sum {
    long fileBytes;
    long shuffleBytes;
    boolean readsFiles;
    boolean readsSizedShuffle;

    void add(Sum other) {
      fileBytes += other.fileBytes;
      shuffleBytes += other.shuffleBytes;
      readsFiles |= other.readsFiles;
      readsSizedShuffle |= other.readsSizedShuffle;
    }

    void add(Partition partition, int depth) {
      if (depth > MAX_DEPTH) {
        return;
      }
      if (partition instanceof FilePartition scan) {
        readsFiles = true;
        for (PartitionedFile file : scan.files()) {
          fileBytes += file.length();
        }
      } else if (partition instanceof ShuffledRowRDDPartition shuffle) {
        addShuffle(shuffle);
      } else if (partition instanceof HadoopPartition hadoop) {
        addSplit(() -> hadoop.inputSplit().value().getLength());
      } else if (partition instanceof NewHadoopPartition hadoop) {
        addSplit(() -> hadoop.serializableHadoopSplit().value().getLength());
      } else if (partition instanceof UnionPartition<?> union) {
        add(union.parentPartition(), depth + 1);
      } else if (partition instanceof CoalescedRDDPartition coalesced) {
        addEach(coalesced.parents().iterator(), depth);
      } else if (partition instanceof ZippedPartitionsPartition zipped) {
        addEach(zipped.partitions().iterator(), depth);
      }
    }

    private void addEach(scala.collection.Iterator<Partition> partitions, int depth) {
      while (partitions.hasNext()) {
        add(partitions.next(), depth + 1);
      }
    }

    private void addShuffle(ShuffledRowRDDPartition partition) {
      long bytes = -1;
      if (partition.spec() instanceof CoalescedPartitionSpec spec && spec.dataSize().isDefined()) {
        bytes = (Long) spec.dataSize().get();
      } else if (partition.spec() instanceof PartialReducerPartitionSpec spec) {
        bytes = spec.dataSize();
      }
      if (bytes >= 0) {
        readsSizedShuffle = true;
        shuffleBytes += bytes;
      }
    }

    private void addSplit(SplitLength length) {
      try {
        fileBytes += Math.max(0, length.get());
        readsFiles = true;
      } catch (IOException | RuntimeException e) {
        return; // such a split does not know its length: then nor do we
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private interface SplitLength {
    long get() throws IOException, InterruptedException;
  }
}
