import { expect, test } from "vitest";
import type { State, Transition } from "../src/api/type";
import { extentOf, lanesOf, ticks } from "../src/course";

function makeRecord(state: State, second: number, change: Partial<Transition> = {}): Transition {
  const time = new Date(second * 1000).toISOString();
  return { state, enqueueing: 1, attempt: 1, crashes: 0, time, seq: second, by: "worker:w", ...change };
}

test("each attempt has a lane, and the wait for a retry stands before the attempt that it leads to", () => {
  const lanes = lanesOf(
    [makeRecord("queued", 0), makeRecord("running", 1), makeRecord("retrying", 3), makeRecord("running", 5, { attempt: 2 }), makeRecord("succeeded", 9, { attempt: 2 })],
    60_000,
  );
  expect(lanes.map((lane) => [lane.attempt, lane.bars.map((bar) => bar.state)])).toEqual([
    [1, ["queued", "running"]],
    [2, ["retrying", "running"]],
  ]);
  expect(lanes[0]?.bars[1]).toMatchObject({ from: 1000, to: 3000, then: "retrying", open: false });
  expect(extentOf(lanes)).toEqual([0, 9000]);
});

test("what goes on reaches until now", () => {
  const lanes = lanesOf([makeRecord("queued", 0), makeRecord("running", 1)], 7000);
  expect(lanes[0]?.bars[1]).toMatchObject({ from: 1000, to: 7000, then: null, open: true });
});

test("a person's retry begins a lane of its own, though it is attempt 1 again", () => {
  const lanes = lanesOf(
    [makeRecord("queued", 0), makeRecord("running", 1), makeRecord("failed", 2), makeRecord("queued", 10, { enqueueing: 2 }), makeRecord("running", 11, { enqueueing: 2 })],
    12_000,
  );
  expect(lanes.map((lane) => [lane.enqueueing, lane.begins])).toEqual([
    [1, true],
    [2, true],
  ]);
});

test("a job that only was withdrawn has a course too", () => {
  const lanes = lanesOf([makeRecord("cancelled", 4)], 5000);
  expect(lanes.length).toBe(1);
  expect(extentOf(lanes)).toEqual([0, 1]);
});

test("a ruler has round steps, few enough to be read", () => {
  expect(ticks(950, 5)).toEqual([0, 200, 400, 600, 800]);
  expect(ticks(3_600_000, 6).length).toBeLessThanOrEqual(7);
  expect(ticks(10 * 86_400_000, 4).length).toBeLessThanOrEqual(5);
});
