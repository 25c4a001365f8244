/** How the client reaches the service: TLS, keepalive, and the settings of the gRPC channel. */
import { X509Certificate } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";

import { credentials, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";

import { SERVICE_CONFIG } from "./service-config.js";
import { after } from "./waiting.js";

/** Where the service listens unless it is told otherwise. */
export const DEFAULT_TARGET = "127.0.0.1:7170";

/** An encrypted connection; with `cert` and `key`, mutual TLS.  Contents of PEM files. */
export interface Tls {
  /** Who may vouch for the service; absent: whom Node trusts. */
  readonly ca?: string | Buffer | undefined;
  /** This client's own certificate chain, for a service that asks for it. */
  readonly cert?: string | Buffer | undefined;
  /** The private key of `cert`. */
  readonly key?: string | Buffer | undefined;
  /** The name that the service's certificate carries, where it is not the target's. */
  readonly serverName?: string | undefined;
}

/**
 * How soon a connection that has gone silent is noticed.  Only while calls are under way.
 *
 * A service drops clients that ping more often than it allows (ours: every 5 s).
 */
export interface Keepalive {
  /** After so many seconds without a byte from the service it is pinged.  Default: 30. */
  readonly timeSeconds?: number | undefined;
  /**
   * Without an answer within so many seconds the connection is made anew; so is one that was just
   * made, and that the service does not greet.  Default: 10.
   */
  readonly timeoutSeconds?: number | undefined;
}

const KEEPALIVE_TIMEOUT_SECONDS = 10;

/** What clients and workers can say about their connection. */
export interface ConnectionOptions {
  /** Encrypt: `true` trusts whom Node trusts.  Default: no. */
  readonly tls?: boolean | Tls | undefined;
  /** When to give a silent connection up. */
  readonly keepalive?: Keepalive | undefined;
  /** Options of the gRPC channel, which win over ours. */
  readonly channelOptions?: ChannelOptions | undefined;
}

/** The credentials of a channel.  Throws when half of a pair is missing, or is no PEM. */
export function channelCredentials({ tls, keepalive }: ConnectionOptions): ChannelCredentials {
  return impatient(encryption(tls), keepalive?.timeoutSeconds ?? KEEPALIVE_TIMEOUT_SECONDS);
}

function encryption(tls: ConnectionOptions["tls"]): ChannelCredentials {
  if (tls === undefined || tls === false) return credentials.createInsecure();
  const { ca, cert, key } = tls === true ? {} : tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("mutual TLS needs both: tls.cert and tls.key");
  }
  if (ca !== undefined) checkCertificate(ca);
  return credentials.createSsl(pem(ca), pem(key), pem(cert));
}

/**
 * The same, which give a connection up that is not answered: gRPC would wait for ever for the first
 * word of a service that something in between has lost.
 */
function impatient(credentials: ChannelCredentials, seconds: number): ChannelCredentials {
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...settings) => {
    const connector = create(...settings);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      let opened = socket;
      const timer = after(seconds, () => {
        // A socket that has made TLS of another one counts what was in it.
        if (opened.bytesRead === 0) socket.destroy(new Error(`no answer within ${seconds} s`));
      })?.unref();
      socket.once("close", () => {
        clearTimeout(timer);
      });
      const connected = await connect(socket);
      opened = connected.socket;
      return connected;
    };
    return connector;
  };
  return credentials;
}

/** Node would trust nobody then, and say only that. */
function checkCertificate(ca: string | Buffer): void {
  try {
    new X509Certificate(ca);
  } catch (cause) {
    throw new TypeError(
      "tls.ca holds no certificate in PEM; the contents belong there, not a path",
      {
        cause,
      },
    );
  }
}

function pem(text: string | Buffer | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}

/**
 * The options of a channel.
 *
 * @param retries - Whether gRPC tries calls again, by the service config.
 */
export function channelOptions(
  target: string,
  options: ConnectionOptions,
  retries: boolean,
): ChannelOptions {
  const { tls, keepalive = {} } = options;
  checkKeepalive(keepalive);
  const serverName = typeof tls === "object" ? tls.serverName : undefined;
  return {
    "grpc.keepalive_time_ms": (keepalive.timeSeconds ?? 30) * 1000,
    "grpc.keepalive_timeout_ms": (keepalive.timeoutSeconds ?? KEEPALIVE_TIMEOUT_SECONDS) * 1000,
    // A batch of leases carries its payloads (up to 64 KiB each): gRPC's 4 MiB would refuse it, for
    // ever.  The service bounds what it sends.
    "grpc.max_receive_message_length": -1,
    // After a restart of the service, seconds count; gRPC's default waits up to two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2000,
    // Else a large submission would not be tried again: the service takes 16 MiB by default.
    "grpc.per_rpc_retry_buffer_size": 16 << 20,
    "grpc.retry_buffer_size": 64 << 20,
    // Only what is said here counts, not what a DNS record may say.
    "grpc.service_config_disable_resolution": 1,
    ...(retries
      ? { "grpc.service_config": JSON.stringify(SERVICE_CONFIG) }
      : { "grpc.enable_retries": 0 }),
    // A proxy named in the environment could not find our loopback.
    ...(isLoopback(target) && { "grpc.enable_http_proxy": 0 }),
    ...(serverName !== undefined && {
      "grpc.ssl_target_name_override": serverName,
      "grpc.default_authority": serverName,
    }),
    ...options.channelOptions,
  };
}

/** With no time at all, or NaN, no connection would be made that is not greeted at once. */
function checkKeepalive(keepalive: Keepalive): void {
  for (const name of ["timeSeconds", "timeoutSeconds"] as const) {
    const seconds = keepalive[name];
    if (seconds !== undefined && !(seconds > 0)) {
      throw new RangeError(`keepalive.${name} is ${seconds}, and must be above 0`);
    }
  }
}

/** Whether the target is on this machine, as far as its text tells. */
export function isLoopback(target: string): boolean {
  if (target.startsWith("unix:")) return true;
  const address = target.replace(/^(dns|ipv4|ipv6):(\/\/\/)?/, "");
  const host = address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return (
    host === "localhost" ||
    (isIPv4(host) && host.startsWith("127.")) ||
    (isIPv6(host) && host === "::1")
  );
}
