package io.uwfq.spark.conversation;

/**
 * A stage attempt whose tasks Spark is about to run.
 *
 * @param key its name
 * @param taskCount its tasks; at least 1
 * @param taskBytes bytes that each task reads, {@code taskCount} of them; null: unknown
 * @param slotsPerTask slots that each task occupies; at least 1
 * @param kind what its tasks read
 */
public record StageFacts(
    StageKey key, int taskCount, long[] taskBytes, int slotsPerTask, StageKind kind) {}
