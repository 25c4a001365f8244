package io.uwfq.spark.conversation;

/**
 * How a job ended in Spark.
 *
 * @param succeeded whether it did what it was asked
 * @param reason why not; empty otherwise
 */
public record JobEnd(boolean succeeded, String reason) {
  /** It did what it was asked. */
  public static final JobEnd SUCCEEDED = new JobEnd(true, "");
}
