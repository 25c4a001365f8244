/**
 * A real `uwfq serve` process with a journal of its own: UWFQ_COMMAND, or that of the checkout.
 *
 * Where there is none, tests that need it are skipped and say so; in CI they fail.
 */
import { spawn, type ChildProcess, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

import { Client, type ConnectionOptions } from "@uwfq/client";

/** The package's directory, as seen from build/test. */
export const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

const COMMAND = process.env["UWFQ_COMMAND"] ?? join(PACKAGE, "../../.venv/bin/uwfq");

/** Whether CI is set to 1, true or yes, as for all other tests of the repository. */
const IN_CI = ["1", "true", "yes"].includes((process.env["CI"] ?? "").toLowerCase());

/** Whether to skip what needs the service, and why. */
export const SKIP = skipReason();

function skipReason(): string | false {
  if (existsSync(COMMAND)) return false;
  const reason = `no ${COMMAND}: build it with \`make setup\`, or set UWFQ_COMMAND`;
  if (IN_CI) throw new Error(reason);
  console.error(`\n*** SKIPPED: ${reason} ***\n`);
  return reason;
}

/** The process, which a test may kill and start again on the same port and journal. */
export class RealService {
  readonly target: string;
  readonly #data: string;
  readonly #settings: string[];
  #process: ChildProcess | undefined;

  private constructor(
    port: number,
    data: string,
    settings: Record<string, unknown>,
    /** How it is to be reached. */
    readonly connection: ConnectionOptions,
  ) {
    this.target = `127.0.0.1:${port}`;
    this.#data = data;
    this.#settings = Object.entries(settings).flatMap(([key, value]) => [
      "--set",
      `${key}=${String(value)}`,
    ]);
  }

  static async start(
    settings: Record<string, unknown>,
    connection: ConnectionOptions = {},
  ): Promise<RealService> {
    const data = await mkdtemp(join(tmpdir(), "uwfq-node-"));
    const service = new RealService(await freePort(), data, settings, connection);
    await service.start();
    return service;
  }

  /** Returns when it answers. */
  async start(): Promise<void> {
    const files = ["--listen", this.target, "--data", this.#data, "--log-level", "warning"];
    this.#process = spawn(COMMAND, ["serve", ...files, ...this.#settings], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const client = new Client(this.target, this.connection);
    const failed = once(this.#process, "exit").then(() => {
      throw new Error("the service did not start");
    });
    await Promise.race([client.listPools(), failed]).finally(() => {
      client.close();
    });
    // From here on its end is a test's doing.
    failed.catch(() => undefined);
  }

  /** No farewell, as a crash would have it. */
  async kill(): Promise<void> {
    if (this.#process?.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#data, { recursive: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Run a test with a service, a client of it, and these settings. */
export function withService(
  settings: Record<string, unknown>,
  body: (service: RealService, client: Client) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const service = await RealService.start(settings);
    const client = new Client(service.target);
    try {
      await body(service, client);
    } finally {
      client.close();
      await service.remove();
    }
  };
}

/** A program under test, its input and its output. */
export type Program = ChildProcessByStdio<Writable, Readable, null>;

/** Run a program for as long as the body takes; what is left of it then is killed. */
export async function running(
  command: string,
  parameters: string[],
  body: (program: Program, exited: Promise<unknown[]>) => Promise<void>,
): Promise<void> {
  const program = spawn(command, parameters, {
    cwd: PACKAGE,
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await body(program, once(program, "exit"));
  } finally {
    program.kill("SIGKILL");
  }
}
