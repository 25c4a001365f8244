package io.uwfq.spark.conversation;

/**
 * Asks how finely a stage should be cut.
 *
 * @param user whose query it is
 * @param signature the query's signature; empty: unknown
 * @param kind what the stage reads
 * @param inputBytes bytes that the stage reads; above 0
 */
public record SplitQuestion(String user, String signature, StageKind kind, long inputBytes) {}
