package io.uwfq.spark.conversation;

/**
 * One attempt of one stage.
 *
 * @param jobId the job that it belongs to
 * @param stage its name within the job: Spark's stage id and attempt, "5.0"
 */
public record StageKey(String jobId, String stage) {}
