/** The bookkeeping of a worker, without a worker. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";

import { Backoff } from "../src/backoff.js";
import {
  TaskLeaseSchema,
  TaskResultAckSchema,
  TaskSuccessSchema,
  type TaskLease,
} from "../src/index.js";
import { failure, Ledger, type Attempt, type Outcome } from "../src/ledger.js";

const DONE: Outcome = { case: "success", value: create(TaskSuccessSchema) };

function lease(leaseId: number, slots = 1): TaskLease {
  return create(TaskLeaseSchema, { leaseId: BigInt(leaseId), slots, expiresInSeconds: 30 });
}

function started(ledger: Ledger, now = 0): Attempt {
  const attempt = ledger.start(now);
  assert.ok(attempt !== undefined);
  return attempt;
}

test("attempts start strictly in order, a large one is not overtaken", () => {
  const ledger = new Ledger(2, 4);
  ledger.grant([lease(1), lease(2, 2), lease(3)], 0);
  const first = started(ledger);
  assert.equal(ledger.start(0), undefined);
  ledger.finish(first, DONE);
  assert.equal(started(ledger).task.leaseId, 2n);
  assert.equal(ledger.freeSlots, 0);
  assert.deepEqual([ledger.running, ledger.queued], [1, 1]);
});

test("a task larger than the worker runs alone", () => {
  const ledger = new Ledger(1, 0);
  ledger.grant([lease(1, 3)], 0);
  started(ledger);
  assert.equal(ledger.freeSlots, 0);
});

test("more work is wanted when half of the queue is used up", () => {
  const ledger = new Ledger(1, 4);
  ledger.grant([lease(1), lease(2), lease(3), lease(4), lease(5)], 0);
  const wanted: boolean[] = [];
  for (let ended = 0; ended < 4; ended += 1) {
    ledger.finish(started(ledger), DONE);
    wanted.push(ledger.wantsWork);
  }
  assert.deepEqual(wanted, [false, false, true, true]);
});

test("a lease that is told twice is held once", () => {
  const ledger = new Ledger(1, 4);
  ledger.grant([lease(1)], 0);
  assert.equal(ledger.grant([lease(1)], 0), Infinity);
  started(ledger);
  assert.equal(ledger.start(0), undefined);
});

test("results are owed until they are acknowledged, each for itself", () => {
  const ledger = new Ledger(3, 0);
  ledger.grant([lease(1), lease(2), lease(3)], 0);
  for (let count = 0; count < 3; count += 1) ledger.finish(started(ledger), DONE);
  const taken = ledger.takeResults();
  assert.equal(ledger.owes, false);
  ledger.putBack(taken);
  assert.deepEqual(ledger.takeResults(), taken);
  const [, second] = taken;
  ledger.acknowledged(taken, [create(TaskResultAckSchema, { leaseId: 2n })]);
  assert.deepEqual(
    ledger.takeResults(),
    taken.filter((result) => result !== second),
  );
  assert.deepEqual(ledger.dueForRenewal(1000), [1n, 3n]);
});

test("a message takes a bounded number of results, and of text", () => {
  const ledger = new Ledger(6000, 0);
  ledger.grant(
    [...new Array(6000).keys()].map((id) => lease(id)),
    0,
  );
  const text = "x".repeat(4096);
  for (let count = 0; count < 300; count += 1) {
    ledger.finish(started(ledger), failure(text, true, 0));
  }
  for (let count = 0; count < 5700; count += 1) ledger.finish(started(ledger), DONE);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => ledger.takeResults().length),
    [256, 5000, 744, 0],
  );
});

test("a lease is renewed at a third of its time, with those that are half-way there", () => {
  const ledger = new Ledger(3, 0);
  ledger.grant([lease(1)], 0);
  ledger.grant([lease(2)], 5);
  ledger.grant([lease(3)], 6);
  assert.equal(ledger.nextRenewal(), 10);
  assert.deepEqual(ledger.dueForRenewal(10), [1n, 2n]);
  ledger.renewed(1n, 60, 10);
  ledger.void(2n);
  assert.equal(ledger.nextRenewal(), 16);
  assert.deepEqual(ledger.dueForRenewal(20), [1n, 3n]);
});

test("an attempt ends once", () => {
  const ledger = new Ledger(1, 1);
  ledger.grant([lease(1), lease(2)], 0);
  const attempt = started(ledger);
  assert.equal(ledger.finish(attempt, failure("given up", true, 0)), true);
  assert.equal(ledger.finish(attempt, DONE), false);
  assert.equal(ledger.takeResults().length, 1);
  ledger.revoke([2n], new Error("cancelled"));
  const [{ outcome } = {}] = ledger.takeResults();
  assert.equal(outcome?.case === "failure" && outcome.value.message, "cancelled");
  assert.equal(ledger.busy, false);
});

test("what has not begun can be abandoned, without an answer", () => {
  const ledger = new Ledger(1, 2);
  ledger.grant([lease(1), lease(2), lease(3)], 0);
  const attempt = started(ledger);
  ledger.abandonQueue();
  assert.deepEqual(ledger.held(), [attempt]);
  ledger.finish(attempt, DONE);
  assert.equal(ledger.busy, false);
  assert.equal(ledger.takeResults().length, 1);
});

test("waits grow to their longest, spread over their upper half; a hint comes on top", () => {
  const policy = { initialSeconds: 1, maxSeconds: 5 };
  const longest = new Backoff(policy, () => 1);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => longest.nextSeconds()),
    [1, 2, 4, 5, 5],
  );
  longest.reset();
  assert.equal(longest.nextSeconds(10), 11);
  assert.equal(new Backoff(policy, () => 0).nextSeconds(), 0.5);
});

test("starts are told in messages that the service takes", () => {
  const ledger = new Ledger(6000, 6000);
  ledger.grant(
    Array.from({ length: 6000 }, (_, index) => lease(index + 1)),
    0,
  );
  while (ledger.start(1) !== undefined);
  const told = ledger.unannounced();
  assert.equal(told.length, 5000);
  for (const attempt of told) attempt.announced = true;
  assert.equal(ledger.unannounced().length, 1000);
});
