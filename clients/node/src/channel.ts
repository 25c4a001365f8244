/**
 * One connection to the service: generated descriptors on one side, gRPC on the other.
 *
 * gRPC makes the connection with the first call, watches it, and makes it anew when it breaks.
 */
import { setMaxListeners } from "node:events";

import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  connectivityState,
  Client as GrpcClient,
  Metadata,
  status,
  type CallOptions,
  type ServiceError,
} from "@grpc/grpc-js";

import { channelCredentials, channelOptions, type ConnectionOptions } from "./connection.js";
import { fromServiceError, isDistrust, UwfqError } from "./errors.js";

/** How one call is made. */
export interface CallSettings {
  /** Time for the call with all its tries, seconds; `Infinity`: whatever it takes. */
  readonly timeoutSeconds: number;
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What of gRPC's calls there is to end one. */
interface Cancellable {
  cancel(): void;
}

/** A connection; any number of calls may share it. */
export class Channel {
  readonly #grpc: GrpcClient;
  readonly #patient: boolean;
  readonly #metadata: Metadata;
  readonly #calls = new Set<Cancellable>();
  #closed = false;

  /**
   * Opens nothing yet.
   *
   * @param patient - Whether calls wait for a service that is away, and are tried again when it goes
   *   away meanwhile, by the service config.  Else they fail at once.
   */
  constructor(target: string, options: ConnectionOptions, { patient }: { patient: boolean }) {
    this.#grpc = new GrpcClient(
      target,
      channelCredentials(options),
      channelOptions(target, options, patient),
    );
    this.#patient = patient;
    // @grpc/grpc-js reads `waitForReady` of a service config, but goes by the metadata's alone.
    this.#metadata = new Metadata({ waitForReady: patient });
  }

  /** One call with one answer.  Rejects with {@link UwfqError}, or with the signal's reason. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { timeoutSeconds, signal }: CallSettings,
  ): Promise<MessageShape<O>> {
    const bytes = encoded(method.input, request);
    const options = { deadline: deadline(timeoutSeconds) };
    this.#ready(signal);
    if (!this.#mayCall) await this.#requireTrust(options, signal);
    try {
      return await new Promise<MessageShape<O>>((resolve, reject) => {
        const call = this.#grpc.makeUnaryRequest(
          path(method),
          identity,
          (answer: Buffer) => fromBinary(method.output, answer),
          bytes,
          this.#metadata,
          options,
          (error, response) => {
            done();
            if (response === undefined)
              reject(error ?? new Error("gRPC gave neither answer nor error"));
            else resolve(response);
          },
        );
        const done = this.#track(call, signal);
      });
    } catch (error) {
      // Made here, and not where gRPC calls back, the error's stack leads to the caller.
      throw this.#reason(await this.#explained(error as ServiceError), signal);
    }
  }

  /** One call with many answers.  Leaving the loop over them ends the call. */
  async *serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    { timeoutSeconds, signal }: CallSettings,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const bytes = encoded(method.input, request);
    const options = { deadline: deadline(timeoutSeconds) };
    this.#ready(signal);
    if (!this.#mayCall) await this.#requireTrust(options, signal);
    const call = this.#grpc.makeServerStreamRequest(
      path(method),
      identity,
      (answer: Buffer) => fromBinary(method.output, answer),
      bytes,
      this.#metadata,
      options,
    );
    // What comes after the loop was left, the end of the call above all, concerns nobody.
    call.on("error", () => undefined);
    const done = this.#track(call, signal);
    try {
      yield* call as AsyncIterable<MessageShape<O>>;
    } catch (error) {
      throw this.#reason(await this.#explained(error as ServiceError), signal);
    } finally {
      done();
      call.cancel();
    }
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Drop the connection.  Calls under way fail with `CANCELLED`. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.cancel();
    this.#grpc.close();
  }

  #ready(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new UwfqError("CANCELLED", "the client is closed");
  }

  /** Let the signal and `close` end a call; to be undone when it has ended. */
  #track(call: Cancellable, signal: AbortSignal | undefined): () => void {
    const cancel = (): void => {
      call.cancel();
    };
    this.#calls.add(call);
    if (signal !== undefined) {
      // Any number of calls may share one signal; Node 20 would take more than ten for a leak.
      setMaxListeners(0, signal);
      signal.addEventListener("abort", cancel);
    }
    return () => {
      this.#calls.delete(call);
      signal?.removeEventListener("abort", cancel);
    };
  }

  /**
   * The same error, with why there is no connection, if that is what the call has waited for: gRPC
   * says so only to those who do not wait.
   */
  async #explained(error: ServiceError): Promise<ServiceError> {
    const { TRANSIENT_FAILURE } = connectivityState;
    if (error.code !== status.DEADLINE_EXCEEDED || this.closed) return error;
    if (this.#grpc.getChannel().getConnectivityState(false) !== TRANSIENT_FAILURE) return error;
    const refusal = await this.#refusal({ deadline: deadline(1) });
    if (refusal?.code === status.UNAVAILABLE) error.details += `; ${refusal.details}`;
    return error;
  }

  /** Whether there is nothing to be said before a call: it has a connection, or will not wait for one. */
  get #mayCall(): boolean {
    const { READY } = connectivityState;
    return !this.#patient || this.#grpc.getChannel().getConnectivityState(false) === READY;
  }

  /** Rejects where one side does not trust the other: the call would wait for its whole time. */
  async #requireTrust(options: CallOptions, signal: AbortSignal | undefined): Promise<void> {
    const refusal = await this.#refusal(options, signal);
    this.#ready(signal);
    if (refusal === null) return;
    const error = fromServiceError(refusal);
    if (isDistrust(error)) throw error;
  }

  /** Why a call that does not wait is refused, if it is.  Of a service that is there it asks nothing. */
  #refusal(options: CallOptions, signal?: AbortSignal): Promise<ServiceError | null> {
    return new Promise((resolve) => {
      const call = this.#grpc.makeUnaryRequest(
        "/grpc.health.v1.Health/Check",
        identity,
        identity,
        Buffer.alloc(0),
        new Metadata(),
        options,
        (error) => {
          done();
          resolve(error);
        },
      );
      const done = this.#track(call, signal);
    });
  }

  /** What a failed call rejects with: whoever aborted it gets his own reason back. */
  #reason(error: ServiceError, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (this.#closed) return new UwfqError("CANCELLED", "the client was closed");
    return fromServiceError(error);
  }
}

/** Here, not in gRPC's own step, so that a value of the wrong type is an error that names its field. */
function encoded<I extends DescMessage>(schema: I, request: MessageInitShape<I>): Buffer {
  const bytes = toBinary(schema, create(schema, request));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}

function path(method: DescMethodUnary | DescMethodServerStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** 31 years: beyond it gRPC knows no deadline, and the call would never end. */
const FOR_EVER_SECONDS = 1e9;

function deadline(timeoutSeconds: number): number {
  if (Number.isNaN(timeoutSeconds)) throw new RangeError("timeoutSeconds is NaN");
  return timeoutSeconds > FOR_EVER_SECONDS ? Infinity : Date.now() + timeoutSeconds * 1000;
}
