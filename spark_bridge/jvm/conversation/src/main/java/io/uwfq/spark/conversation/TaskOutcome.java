package io.uwfq.spark.conversation;

import java.util.OptionalLong;

/** How a task attempt ended. Runtimes are seconds in which it held its slots. */
public sealed interface TaskOutcome {
  /** Seconds in which the attempt held its slots. */
  double runtimeSeconds();

  /** The task is done. */
  record Success(double runtimeSeconds, OptionalLong inputBytes, OptionalLong rows)
      implements TaskOutcome {}

  /** The attempt failed, was killed, or was lost with its executor; Spark decides what follows. */
  record Failure(double runtimeSeconds, String message) implements TaskOutcome {}
}
