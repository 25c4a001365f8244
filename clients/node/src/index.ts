/**
 * The Node client of UWFQ: submit jobs, watch them, and write workers.
 *
 * {@link Client} has a method for each call of the service, {@link Worker} runs tasks, and what can go
 * wrong is a {@link UwfqError}.  The messages of the protocol are here, too: plain objects with types,
 * and schemas for the functions of `@bufbuild/protobuf` (`create`, `toJson`, ...).
 *
 * @packageDocumentation
 */
export type { BackoffPolicy } from "./backoff.js";
export {
  Client,
  hasEnded,
  type CallOptions,
  type ClientOptions,
  type Init,
  type WaitOptions,
  type With,
} from "./client.js";
export { DEFAULT_TARGET, type ConnectionOptions, type Keepalive, type Tls } from "./connection.js";
export {
  JobFailed,
  PermanentFailure,
  UwfqError,
  type ErrorDetails,
  type FieldViolation,
  type Resource,
  type StatusCode,
} from "./errors.js";
export type { Handler, Measurement, TaskContext } from "./execution.js";
export type { Logger } from "./logger.js";
export { Worker, type StopOptions, type WorkerOptions, type WorkerStats } from "./worker.js";

export * from "./gen/uwfq/v1/admin_service_pb.js";
export * from "./gen/uwfq/v1/scheduler_service_pb.js";
export * from "./gen/uwfq/v1/types_pb.js";
