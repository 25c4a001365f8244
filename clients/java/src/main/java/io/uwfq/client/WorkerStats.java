package io.uwfq.client;

/**
 * What a worker is doing and has done since it began.
 *
 * @param running attempts that run
 * @param queued attempts that wait in the worker's queue
 * @param succeeded attempts that have succeeded
 * @param failed attempts that have failed
 * @param polls polls sent
 */
public record WorkerStats(int running, int queued, long succeeded, long failed, long polls) {}
