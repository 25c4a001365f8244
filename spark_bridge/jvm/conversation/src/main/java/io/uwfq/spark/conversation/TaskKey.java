package io.uwfq.spark.conversation;

/**
 * One attempt of one task.
 *
 * @param stage its stage attempt
 * @param index which task of the stage attempt, from 0
 * @param attempt which try, from 1
 */
public record TaskKey(StageKey stage, int index, int attempt) {}
