package io.uwfq.spark.conversation;

import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.Supplier;

/**
 * A job as Spark shows it: a query, or a Spark job that belongs to no query.
 *
 * @param jobId the job's name, unique within the service
 * @param user whose it is
 * @param weight weight among the user's own jobs; empty: 1
 * @param shape computes what the job runs; called once, on a thread made for it; a throw, or two
 *     seconds without a result, counts as {@link JobShape#UNKNOWN}
 * @param labels free text pairs for people ("description", "application"); asked once, by the
 *     conversation's thread, when they are first needed
 */
public record JobFacts(
    String jobId,
    String user,
    OptionalDouble weight,
    Supplier<JobShape> shape,
    Supplier<Map<String, String>> labels) {}
