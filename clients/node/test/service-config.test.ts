/** The retries of this client are those of all clients. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { AdminService, SchedulerService } from "../src/index.js";
import { SERVICE_CONFIG } from "../src/service-config.js";

test("the service config is the one that the clients share", async () => {
  const shared = new URL("../../../service_config.json", import.meta.url);
  assert.deepEqual(SERVICE_CONFIG, JSON.parse(await readFile(shared, "utf8")));
});

test("it speaks of every method but the stream of work, and of no other", () => {
  const [{ name: names }] = SERVICE_CONFIG.methodConfig;
  const named = names.map((name) => ("method" in name ? name.method : name.service));
  const methods = SchedulerService.methods.map(({ name }) => name);
  const expected = [...methods.filter((name) => name !== "Work"), AdminService.typeName];
  assert.deepEqual(named.toSorted(), expected.toSorted());
});
