package io.uwfq.client;

import io.uwfq.v1.TaskSuccess;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * What a task has read and produced; the service estimates better for it. The runtime it is told
 * anyway.
 *
 * @param inputBytes bytes read, where known
 * @param rows rows read or produced, where known
 */
public record Measurement(OptionalLong inputBytes, OptionalLong rows) {
  /** Nothing was measured. */
  public static final Measurement NONE =
      new Measurement(OptionalLong.empty(), OptionalLong.empty());

  /**
   * Refuses null, and what is less than nothing.
   *
   * @param inputBytes bytes read, where known
   * @param rows rows read or produced, where known
   */
  public Measurement {
    requireNatural("inputBytes", inputBytes);
    requireNatural("rows", rows);
  }

  /**
   * Rows alone.
   *
   * @param rows at least 0
   * @return the measurement
   */
  public static Measurement ofRows(long rows) {
    return NONE.withRows(rows);
  }

  /**
   * Bytes alone.
   *
   * @param inputBytes at least 0
   * @return the measurement
   */
  public static Measurement ofInputBytes(long inputBytes) {
    return new Measurement(OptionalLong.of(inputBytes), OptionalLong.empty());
  }

  /**
   * The same, with rows.
   *
   * @param rows at least 0
   * @return a copy
   */
  public Measurement withRows(long rows) {
    return new Measurement(inputBytes, OptionalLong.of(rows));
  }

  void copyTo(TaskSuccess.Builder success) {
    inputBytes.ifPresent(success::setInputBytes);
    rows.ifPresent(success::setRows);
  }

  private static void requireNatural(String name, OptionalLong value) {
    Objects.requireNonNull(value, name);
    if (value.isPresent() && value.getAsLong() < 0) {
      throw new IllegalArgumentException(name + " must be at least 0, not " + value.getAsLong());
    }
  }
}
