/** Encrypted connections: who shows a certificate is served, who does not is not. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, Worker, type ConnectionOptions } from "@uwfq/client";

import { RealService, SKIP } from "./real-service.js";
import { EAGER } from "./support.js";

/** An authority and what it has signed: a server and a client, as files in a directory. */
function certificates(): string {
  const directory = mkdtempSync(join(tmpdir(), "uwfq-tls-"));
  const openssl = (...parameters: string[]): void => {
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const command = ["req", "-x509", ...curve, "-days", "2", ...parameters];
    execFileSync("openssl", command, { cwd: directory, stdio: "pipe" });
  };
  openssl("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority");
  for (const name of ["server", "client"]) {
    openssl(
      ...["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", `${name}.key`, "-out", `${name}.pem`],
      ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}.test`],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
    );
  }
  return directory;
}

test("mutual TLS, for clients and workers", { skip: SKIP }, async () => {
  const directory = certificates();
  const read = (name: string): Buffer => readFileSync(join(directory, name));
  const known = { ca: read("ca.pem"), serverName: "server.test" };
  const mutual = { tls: { ...known, cert: read("client.pem"), key: read("client.key") } };
  const settings = {
    "tls.cert": join(directory, "server.pem"),
    "tls.key": join(directory, "server.key"),
    "tls.client_ca": join(directory, "ca.pem"),
  };
  const service = await RealService.start(settings, mutual);
  try {
    const client = new Client(service.target, mutual);
    const worker = new Worker(service.target, { ...EAGER, ...mutual, slots: 1 });
    const served = worker.handle(() => undefined).serve();
    const cut = { case: "tasks", value: { count: 1 } } as const;
    const { jobId } = await client.submit({ user: "ann", stages: [{ stage: "s", cut }] });
    await client.wait(jobId, { check: true });
    await worker.stop();
    await served;
    client.close();
    const strangers: ConnectionOptions[] = [{ tls: known }, {}];
    for (const stranger of strangers) {
      const other = new Client(service.target, { ...stranger, timeoutSeconds: 0.5 });
      await assert.rejects(other.getPool(), { name: "UwfqError" });
      other.close();
    }
    // No waiting would mend these, so nobody waits.
    const distrustful = [
      { tls: true, why: /first certificate|self-signed certificate/ },
      { tls: { ...known, serverName: "other.test" }, why: /altnames/ },
    ];
    for (const { tls, why } of distrustful) {
      const other = new Client(service.target, { tls, timeoutSeconds: 60 });
      await assert.rejects(other.getPool(), { code: "UNAVAILABLE", message: why });
      await assert.rejects(other.wait("j"), { code: "UNAVAILABLE", message: why });
      other.close();
    }
  } finally {
    await service.remove();
    await rm(directory, { recursive: true });
  }
});
