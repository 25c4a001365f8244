/** The README's programs run as they are written there, with the package as it is published. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { DEFAULT_TARGET } from "@uwfq/client";

import { PACKAGE, running, SKIP, withService } from "./real-service.js";

/** The code blocks that begin with the name of their file, as `// worker.mjs`. */
async function programs(): Promise<Map<string, string>> {
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  const blocks = readme.matchAll(/```js\n\/\/ (\S+)\n(.*?)```/gs);
  return new Map([...blocks].map(([, name = "", code = ""]) => [name, code]));
}

test(
  "the worker of the README does the job of the README",
  { skip: SKIP },
  withService({}, async (service) => {
    const found = await programs();
    assert.deepEqual([...found.keys()], ["worker.mjs", "submit.mjs"]);
    // Inside the package, so that its own name leads to it.
    const directory = await mkdtemp(join(PACKAGE, "build/readme-"));
    for (const [name, code] of found) {
      assert.ok(code.includes(DEFAULT_TARGET));
      await writeFile(join(directory, name), code.replace(DEFAULT_TARGET, service.target));
    }
    await running(process.execPath, [join(directory, "worker.mjs")], async (worker, stopped) => {
      const work = text(worker.stdout);
      await running(process.execPath, [join(directory, "submit.mjs")], async (submit, done) => {
        assert.match(await text(submit.stdout), /^8 tasks took \d+\.\d\d slot-seconds\n$/);
        assert.deepEqual(await done, [0, null]);
      });
      worker.kill("SIGTERM");
      assert.deepEqual(await stopped, [0, null]);
      const lines = (await work).trim().split("\n");
      assert.equal(new Set(lines).size, 8);
      assert.ok(lines.includes("alice's task 1 of 8: 1499999500000"));
    });
    await rm(directory, { recursive: true });
  }),
);
