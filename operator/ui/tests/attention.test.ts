import { expect, test } from "vitest";
import { findAttention, type Known } from "../src/attention";
import type { Bucket, Queue } from "../src/api/type";
import { fill, lookbackOf, newest, rates } from "../src/series";

const quiet: Known = { queues: [], flows: {}, workers: [], dead: 0, buckets: [], declarations: [], hooks: [], now: Date.parse("2026-01-01T00:10:00Z") };

function makeQueue(change: Partial<Queue> = {}): Queue {
  return { job: "mail", ready: 0, inFlight: 0, delayed: 0, workers: 1, slots: 4, busy: 0, suspended: false, ...change };
}

function makeBucket(change: Partial<Bucket> = {}): Bucket {
  return { time: "2026-01-01T00:00:00Z", enqueued: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0, ...change };
}

test("nothing to say where nothing is wrong", () => {
  expect(findAttention({ ...quiet, queues: [makeQueue({ ready: 9 })], buckets: [makeBucket({ succeeded: 100, failed: 1 })] })).toEqual([]);
});

test("jobs that wait without a worker are told, but not those of a suspended Job as if a worker were missing", () => {
  const found = findAttention({ ...quiet, queues: [makeQueue({ ready: 3, workers: 0 }), makeQueue({ job: "b", ready: 3, workers: 0, suspended: true })] });
  expect(found.map((one) => one.code)).toEqual(["no_worker", "suspended"]);
});

test("a job that has waited for minutes beside workers is told, one of a backlog that moves is not", () => {
  const queue = makeQueue({ ready: 40 });
  const told = (oldestSeconds: number) => findAttention({ ...quiet, queues: [queue], flows: { mail: { ...queue, oldestSeconds } } });
  expect(told(20)).toEqual([]);
  expect(told(600)).toMatchObject([{ code: "late", tone: "warn", detail: "one has waited for 10 min" }]);
});

test("a few failures are no rate", () => {
  expect(findAttention({ ...quiet, buckets: [makeBucket({ failed: 3, succeeded: 2 })] })).toEqual([]);
  const found = findAttention({ ...quiet, buckets: [makeBucket({ failed: 5, succeeded: 20 })], dead: 5 });
  expect(found.map((one) => one.code)).toEqual(["failing", "dead_letters"]);
});

test("a Job that is not ready stands first, with what its condition says", () => {
  const conditions = [{ type: "Ready", status: "False" as const, reason: "ImagePullFailed", message: "no such image" }];
  const declaration = { name: "mail", namespace: "shop", spec: {}, status: { conditions } };
  const found = findAttention({ ...quiet, dead: 1, declarations: [declaration] });
  expect(found[0]).toMatchObject({ code: "not_ready", tone: "bad", detail: "no such image" });
});

test("a time without buckets is a time in which nothing happened", () => {
  const from = Date.parse("2026-01-01T00:00:00Z");
  const found = fill([makeBucket({ time: "2026-01-01T00:02:00Z", succeeded: 6 })], from, from + 240_000, 60);
  expect(found.map((bucket) => bucket.succeeded)).toEqual([0, 0, 6, 0, 0]);
  expect(rates(found, "succeeded", 60)).toEqual([0, 0, 0.1, 0, null]);
});

test("the newest percentile is the last that was measured", () => {
  expect(newest([makeBucket({ waitP50: 2 }), makeBucket({ waitP50: 3 }), makeBucket()], "waitP50")).toBe(3);
  expect(newest([makeBucket()], "runP99")).toBeNull();
  expect(lookbackOf("99").minutes).toBe(60);
});

test("a webhook is told when it is disabled, or has failed for a while and is not suspended", () => {
  const hook = { name: "crm", events: ["order.*"], url: "https://crm.example.com", method: "POST" };
  const told = (change: object) => findAttention({ ...quiet, hooks: [{ ...hook, ...change }] });
  expect(told({ failingSince: "2026-01-01T00:09:40Z" })).toEqual([]);
  expect(told({ failingSince: "2026-01-01T00:05:00Z" })).toMatchObject([{ code: "webhook_failing", detail: "its receiver has taken nothing for 5 min" }]);
  expect(told({ failingSince: "2026-01-01T00:05:00Z", suspended: true })).toEqual([]);
  expect(told({ disabled: "gone", failingSince: "2026-01-01T00:05:00Z" })).toMatchObject([{ code: "webhook_disabled", tone: "bad" }]);
});
