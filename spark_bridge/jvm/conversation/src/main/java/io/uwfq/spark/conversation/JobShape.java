package io.uwfq.spark.conversation;

import java.util.OptionalLong;

/**
 * What a job runs, for the service's estimator.
 *
 * @param signature what it runs, without literals; empty: nothing is known
 * @param inputBytes bytes that it reads
 */
public record JobShape(String signature, OptionalLong inputBytes) {
  /** Nothing is known. */
  public static final JobShape UNKNOWN = new JobShape("", OptionalLong.empty());
}
