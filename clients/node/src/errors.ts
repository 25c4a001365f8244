/**
 * What can go wrong, by name.
 *
 * A refusal of the service arrives as a gRPC status with `google.rpc` details. Here it becomes one
 * class of error with the details as properties, so that nobody parses text.
 */
import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status, type ServiceError } from "@grpc/grpc-js";

import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema, type Status } from "./gen/google/rpc/status_pb.js";
import { JobState, type Job } from "./gen/uwfq/v1/types_pb.js";

/** The canonical name of a gRPC status, e.g. `"NOT_FOUND"`. */
export type StatusCode = Exclude<keyof typeof status, "OK">;

/** One field of a request that the service refused. */
export interface FieldViolation {
  /** As the protocol names it, e.g. `stages[2].after`. */
  readonly field: string;
  /** What is wrong with it, and what would be right. */
  readonly description: string;
}

/** What a refusal is about: a job, a stage, a pool. */
export interface Resource {
  /** Its kind, e.g. `"job"`. */
  readonly type: string;
  /** Its name. */
  readonly name: string;
}

/** What a {@link UwfqError} may carry beside its code and message. */
export interface ErrorDetails {
  /** See {@link UwfqError.fieldViolations}. */
  readonly fieldViolations?: readonly FieldViolation[] | undefined;
  /** See {@link UwfqError.retryAfterSeconds}. */
  readonly retryAfterSeconds?: number | undefined;
  /** See {@link UwfqError.reason}. */
  readonly reason?: string | undefined;
  /** See {@link UwfqError.resource}. */
  readonly resource?: Resource | undefined;
}

/**
 * A call that did not succeed: refused by the service, or never answered.
 *
 * @example
 * ```ts
 * try {
 *   await client.submit({ user: "", kind: "sum" });
 * } catch (error) {
 *   if (!(error instanceof UwfqError)) throw error;
 *   if (error.code === "INVALID_ARGUMENT") console.error(error.fieldViolations);
 *   if (error.code === "RESOURCE_EXHAUSTED") console.error("again in", error.retryAfterSeconds, "s");
 * }
 * ```
 */
export class UwfqError extends Error {
  override readonly name = "UwfqError";
  /** The canonical status. */
  readonly code: StatusCode;
  /** The fields that were refused; empty unless the code is `INVALID_ARGUMENT`. */
  readonly fieldViolations: readonly FieldViolation[];
  /** When the service invites to try again, seconds; `undefined`: it does not say. */
  readonly retryAfterSeconds: number | undefined;
  /** A stable word for programs, e.g. `"JOB_NOT_OPEN"`; `undefined`: there is none. */
  readonly reason: string | undefined;
  /** What the refusal is about; `undefined`: it does not say. */
  readonly resource: Resource | undefined;

  /** Errors are made by the client; make your own to test how your program takes them. */
  constructor(
    code: StatusCode,
    message: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.fieldViolations = details.fieldViolations ?? [];
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.reason = details.reason;
    this.resource = details.resource;
  }
}

/** A job that was waited for with `check` has failed or was cancelled. */
export class JobFailed extends Error {
  override readonly name = "JobFailed";
  /** The job in its last state. */
  readonly job: Job;

  /** @param job - The job in its last state. */
  constructor(job: Job) {
    const cause = job.cause === "" ? "" : `: ${job.cause}`;
    super(`job ${JSON.stringify(job.jobId)} ${JobState[job.state].toLowerCase()}${cause}`);
    this.job = job;
  }
}

/**
 * Throw it in a handler: no other attempt can succeed, so the job fails at once.
 *
 * Anything else that is thrown is a failure that is worth another attempt.
 */
export class PermanentFailure extends Error {
  override readonly name = "PermanentFailure";
}

/**
 * How gRPC puts it that one side does not trust the other's certificate, or that the service speaks no
 * TLS.
 */
const DISTRUST =
  /Last error: .*(self-signed certificate|(issuer|first) certificate|certificate (has expired|is not yet valid)|certificate's altnames|alert (bad |unknown )?(certificate|ca)|wrong version number)/;

/** Whether no connection can be made for as long as both sides are as they are. */
export function isDistrust({ code, message }: UwfqError): boolean {
  return code === "UNAVAILABLE" && DISTRUST.test(message);
}

/**
 * Whether the same call may succeed later.
 *
 * A server that ends cancels what it had begun; our own cancelling never comes as a `UwfqError`.
 * `RESOURCE_EXHAUSTED` without a hint is a size that will not shrink, e.g. of a message.
 */
export function isTransient(error: unknown): error is UwfqError {
  return (
    error instanceof UwfqError &&
    ((error.code === "UNAVAILABLE" && !isDistrust(error)) ||
      error.code === "CANCELLED" ||
      (error.code === "RESOURCE_EXHAUSTED" && error.retryAfterSeconds !== undefined))
  );
}

/** What no waiting will mend: the request itself is wrong. */
const FATAL: ReadonlySet<StatusCode> = new Set<StatusCode>([
  "FAILED_PRECONDITION",
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "UNIMPLEMENTED",
]);

/** Whether a worker has to end for it; what is no `UwfqError` is a defect, and so it has. */
export function isFatal(error: unknown): boolean {
  return !(error instanceof UwfqError) || FATAL.has(error.code);
}

/** What gRPC has raised, as the error that users get. */
export function fromServiceError(error: ServiceError): UwfqError {
  if (isDropped(error)) {
    return new UwfqError("UNAVAILABLE", "the service has dropped the connection");
  }
  const details = detailsOf(error);
  const badRequest = firstDetail(details, BadRequestSchema);
  const retryDelay = firstDetail(details, RetryInfoSchema)?.retryDelay;
  const resource = firstDetail(details, ResourceInfoSchema);
  const fieldViolations = badRequest?.fieldViolations.map(({ field, description }) => ({
    field,
    description,
  }));
  const code = codeName(error.code);
  return new UwfqError(code, sentence(readable(error.details || code), fieldViolations ?? []), {
    fieldViolations,
    retryAfterSeconds: retryDelay && Number(retryDelay.seconds) + retryDelay.nanos / 1e9,
    reason: firstDetail(details, ErrorInfoSchema)?.reason,
    resource: resource && { type: resource.resourceType, name: resource.resourceName },
  });
}

/** How gRPC puts it that the service has dropped the connection, of HTTP/2's ENHANCE_YOUR_CALM. */
const DROPPED = "Bandwidth exhausted or memory limit exceeded";

/**
 * Whether the connection is gone, and not the service full: it drops one on which its pings are not
 * answered, of a client whose machine was asleep, say.
 */
function isDropped({ code, details }: ServiceError): boolean {
  return code === status.RESOURCE_EXHAUSTED && details === DROPPED;
}

/** A server may send any number as its status; those that gRPC does not know mean UNKNOWN. */
function codeName(code: number): StatusCode {
  const name = status[code] as keyof typeof status | undefined;
  return name === undefined || name === "OK" ? "UNKNOWN" : name;
}

/** Without an empty note of gRPC's, and with what a connection that ends without a word may mean. */
function readable(text: string): string {
  const said = text.replace(/\s*\. Resolution note: $/, "");
  return said.includes("Last error: Failed to connect (")
    ? `${said}; it was closed at once: does the service want TLS, or a certificate of the client?`
    : said;
}

/** The service's sentence, which usually repeats the first violation, with all of them in it. */
function sentence(text: string, violations: readonly FieldViolation[]): string {
  const fields = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return text.includes(fields) ? text : `${text} (${fields})`;
}

/** The serialized `google.rpc.Status` that came along, if any. */
function detailsOf(error: ServiceError): Status["details"] {
  const [serialized] = error.metadata.get("grpc-status-details-bin");
  if (!(serialized instanceof Uint8Array)) return [];
  try {
    return fromBinary(StatusSchema, serialized).details;
  } catch {
    return []; // Not from our service (a proxy's?): the code and the text must do.
  }
}

function firstDetail<Schema extends DescMessage>(
  details: Status["details"],
  schema: Schema,
): MessageShape<Schema> | undefined {
  for (const detail of details) {
    const found = anyUnpack(detail, schema);
    if (found !== undefined) return found;
  }
  return undefined;
}
