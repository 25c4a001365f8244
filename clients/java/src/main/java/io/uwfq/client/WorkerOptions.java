package io.uwfq.client;

import java.time.Duration;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.Executor;

/**
 * What a worker was made with; see {@link Worker.Builder}.
 *
 * @param fallback the handler for kinds that have none; or null
 * @param executor where handlers run; null: in threads of the worker's own
 * @param grace of a stop that says none; null: as long as it takes
 */
record WorkerOptions(
    Endpoint endpoint,
    String pool,
    String workerId,
    int slots,
    int prefetch,
    OptionalInt maxBatch,
    Duration pollWait,
    Duration reportDelay,
    Duration grace,
    Executor executor,
    Map<String, Handler> handlers,
    Handler fallback,
    Backoff.Policy backoff) {}
