package io.uwfq.spark;

import java.time.Duration;
import java.util.Locale;
import java.util.Set;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.apache.spark.network.util.JavaUtils;

/**
 * The settings {@code spark.uwfq.partitioning.*}.
 *
 * @param enabled whether queries are cut as the service says; false switches all of it off
 * @param scans whether file scans are
 * @param shuffles whether the stages that read shuffles are
 * @param timeout the longest that one query waits for answers, all its questions together
 * @param minTaskBytes no question and no answer makes tasks that read less than this; at least 1
 * @param maxTaskBytes no answer makes tasks that read more than this; at least 1
 * @param maxTasks no answer makes more tasks of one scan or stage than this; at least 1
 */
public record PartitioningSettings(
    boolean enabled,
    boolean scans,
    boolean shuffles,
    Duration timeout,
    long minTaskBytes,
    long maxTaskBytes,
    int maxTasks) {

  private static final String PREFIX = "spark.uwfq.partitioning.";

  public static final String ENABLED = PREFIX + "enabled";
  public static final String SCANS = PREFIX + "scans";
  public static final String SHUFFLES = PREFIX + "shuffles";
  public static final String TIMEOUT = PREFIX + "timeout";
  public static final String MIN_TASK_BYTES = PREFIX + "minTaskBytes";
  public static final String MAX_TASK_BYTES = PREFIX + "maxTaskBytes";
  public static final String MAX_TASKS = PREFIX + "maxTasks";

  /** All keys that are read here. */
  public static final Set<String> KEYS =
      Set.of(ENABLED, SCANS, SHUFFLES, TIMEOUT, MIN_TASK_BYTES, MAX_TASK_BYTES, MAX_TASKS);

  public static final PartitioningSettings DEFAULTS =
      new PartitioningSettings(
          true, true, true, Duration.ofMillis(200), 1L << 20, 1L << 30, 10_000);

  /**
   * Reads the settings; what is not set keeps its value of {@code this}.
   *
   * @param valueByKey the value of a key; null: not set
   * @throws IllegalArgumentException names the key, its value, and what it may be
   */
  public PartitioningSettings overriddenBy(UnaryOperator<String> valueByKey) {
    return new PartitioningSettings(
        read(valueByKey, ENABLED, enabled, PartitioningSettings::parseBoolean, "true or false"),
        read(valueByKey, SCANS, scans, PartitioningSettings::parseBoolean, "true or false"),
        read(valueByKey, SHUFFLES, shuffles, PartitioningSettings::parseBoolean, "true or false"),
        read(
            valueByKey,
            TIMEOUT,
            timeout,
            PartitioningSettings::parseTimeout,
            "a time above 0 such as 200ms"),
        read(
            valueByKey,
            MIN_TASK_BYTES,
            minTaskBytes,
            text -> atLeastOne(JavaUtils.byteStringAsBytes(text)),
            "a size above 0 such as 1m"),
        read(
            valueByKey,
            MAX_TASK_BYTES,
            maxTaskBytes,
            text -> atLeastOne(JavaUtils.byteStringAsBytes(text)),
            "a size above 0 such as 1g"),
        read(
            valueByKey,
            MAX_TASKS,
            maxTasks,
            text -> Math.toIntExact(atLeastOne(Integer.parseInt(text))),
            "a whole number above 0"));
  }

  private static <T> T read(
      UnaryOperator<String> valueByKey,
      String key,
      T unset,
      Function<String, T> parse,
      String may) {
    String value = valueByKey.apply(key);
    if (value == null) {
      return unset;
    }
    try {
      return parse.apply(value.strip());
    } catch (RuntimeException e) {
      throw new IllegalArgumentException(key + " is \"" + value + "\": set it to " + may, e);
    }
  }

  /**
   * The number of tasks nearest to the one asked for that keeps within the limits of size and
   * number; where these contradict each other the largest number of tasks wins.
   *
   * @param taskCount asked for
   * @param inputBytes what the tasks read together; above 0
   */
  public int bounded(int taskCount, long inputBytes) {
    long fewest = Math.min(ceilDiv(inputBytes, maxTaskBytes), maxTasks);
    long most = Math.min(ceilDiv(inputBytes, minTaskBytes), maxTasks);
    return (int) Math.max(1, Math.max(fewest, Math.min(most, taskCount)));
  }

  private static long ceilDiv(long bytes, long unit) {
    return bytes / unit + (bytes % unit == 0 ? 0 : 1);
  }

  private static boolean parseBoolean(String text) {
    return switch (text.toLowerCase(Locale.ROOT)) {
      case "true" -> true;
      case "false" -> false;
      default -> throw new IllegalArgumentException("neither true nor false");
    };
  }

  private static Duration parseTimeout(String text) {
    return Duration.ofMillis(atLeastOne(JavaUtils.timeStringAsMs(text)));
  }

  private static long atLeastOne(long number) {
    if (number < 1) {
      throw new IllegalArgumentException("below 1");
    }
    return number;
  }
}
