package io.uwfq.client;

import io.uwfq.v1.TaskFailure;
import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskSuccess;
import java.nio.charset.StandardCharsets;

/**
 * How one attempt ended.
 *
 * @param measurement of one that has succeeded; else null
 * @param failure why it failed; null: it has not
 * @param retryable whether another attempt may succeed
 * @param thrown by the handler, for the log; or null
 */
record Outcome(
    double runtimeSeconds,
    Measurement measurement,
    String failure,
    boolean retryable,
    Throwable thrown) {
  /** What the service keeps of a failure's message. */
  private static final int MAX_MESSAGE_BYTES = 4096;

  /** A handler has returned; null is taken as nothing measured. */
  static Outcome returned(Measurement measurement, double runtimeSeconds) {
    Measurement measured = measurement == null ? Measurement.NONE : measurement;
    return new Outcome(runtimeSeconds, measured, null, true, null);
  }

  /** A handler has thrown, whatever it is. */
  static Outcome thrown(Throwable error, double runtimeSeconds) {
    boolean permanent = error instanceof PermanentFailure;
    try {
      // The text of our own exception is the message; of others, the type says half of it.
      String text = String.valueOf(permanent ? error.getMessage() : error.toString());
      return new Outcome(runtimeSeconds, null, text, !permanent, error);
    } catch (Throwable broken) {
      // Its class is the handler's own: a message read off a cause that is missing, say. The log
      // would read it, too.
      String text = error.getClass().getName() + ": (its text cannot be had)";
      return new Outcome(runtimeSeconds, null, text, !permanent, null);
    }
  }

  /** The attempt did not begin, or did not come to its end, through no fault of its handler. */
  static Outcome lost(String reason) {
    return new Outcome(0, null, reason, true, null);
  }

  boolean failed() {
    return failure != null;
  }

  /** The same failure, as the worker knows better why. */
  Outcome because(String reason) {
    return new Outcome(runtimeSeconds, null, reason, retryable, null);
  }

  /** What is reported to the service. */
  TaskResult result(TaskLease lease) {
    TaskResult.Builder result =
        TaskResult.newBuilder().setLeaseId(lease.getLeaseId()).setAttempt(lease.getAttempt());
    if (failed()) {
      return result
          .setFailure(
              TaskFailure.newBuilder()
                  .setMessage(cut(failure))
                  .setRetryable(retryable)
                  .setRuntimeSeconds(runtimeSeconds))
          .build();
    }
    TaskSuccess.Builder success = TaskSuccess.newBuilder().setRuntimeSeconds(runtimeSeconds);
    measurement.copyTo(success);
    return result.setSuccess(success).build();
  }

  /** At most what the service keeps, without half a character at the end. */
  private static String cut(String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    int length = Math.min(utf8.length, MAX_MESSAGE_BYTES);
    while (length < utf8.length && (utf8[length] & 0xC0) == 0x80) {
      length--;
    }
    return new String(utf8, 0, length, StandardCharsets.UTF_8);
  }
}
