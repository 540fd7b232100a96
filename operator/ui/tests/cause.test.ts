import { expect, test } from "vitest";
import type { Queue, Transition, Worker } from "../src/api/type";
import { findCauses, type Situation } from "../src/cause";

const now = Date.parse("2026-01-01T00:00:00Z");
const queue: Queue = { job: "mail", ready: 3, inFlight: 0, delayed: 0, workers: 0, slots: 0, busy: 0, suspended: false };

function situation(change: Partial<Situation["job"]> = {}, workers: Worker[] = [], of: Partial<Queue> = {}): Situation {
  return { job: { job: "mail", state: "queued", history: [], ...change }, queue: { ...queue, ...of }, workers, now };
}

function makeWorker(change: Partial<Worker> = {}): Worker {
  return { worker: "w", jobs: ["mail"], slots: 2, busy: 0, ...change };
}

const codes = (seen: Situation) => findCauses(seen).map((cause) => cause.code);

test("a job with a free worker has no cause to wait", () => {
  expect(codes(situation({}, [makeWorker()]))).toEqual([]);
});

test("no worker, none that can, none that is free: each is told apart", () => {
  expect(codes(situation())).toEqual(["no_worker"]);
  expect(codes(situation({}, [makeWorker({ jobs: ["other"] })]))).toEqual(["no_worker"]);
  expect(codes(situation({}, [makeWorker({ draining: true }), makeWorker({ missing: ["mail"] })]))).toEqual(["no_able_worker"]);
  expect(codes(situation({}, [makeWorker({ busy: 2 })]))).toEqual(["busy"]);
});

test("a suspended Job is told beside the rest", () => {
  expect(codes(situation({}, [makeWorker()], { suspended: true }))).toEqual(["suspended"]);
});

test("what is not due yet waits for its time and for nothing else", () => {
  const due = "2026-01-01T00:10:00Z";
  expect(findCauses(situation({ state: "scheduled", scheduledFor: due }))).toEqual([{ code: "waiting_until", text: "It waits for its time, due in 10 min" }]);
  const history = [{ due } as Transition];
  expect(codes(situation({ state: "retrying", history }))).toEqual(["waiting_until"]);
});

test("what is due and still waits is looked at like what is queued", () => {
  expect(codes(situation({ state: "scheduled", scheduledFor: "2025-12-31T23:59:00Z" }))).toEqual(["no_worker"]);
});

test("before anything is known nothing is said", () => {
  expect(findCauses({ ...situation(), queue: undefined })).toEqual([]);
});
