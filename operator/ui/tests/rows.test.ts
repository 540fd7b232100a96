import { expect, test } from "vitest";
import type { JobEvent, JobRow } from "../src/api/type";
import { sliceOf } from "../src/part/virtual";
import { merge, patch } from "../src/rows";

function makeRow(id: string, change: Partial<JobRow> = {}): JobRow {
  const time = "2026-01-01T00:00:00Z";
  return { id, namespace: "shop", job: "mail", state: "queued", enqueueing: 1, attempt: 1, crashes: 0, created: time, updated: time, seq: 1, ...change };
}

function makeEvent(id: string, change: Partial<JobEvent> = {}): JobEvent {
  return { id, job: "mail", state: "running", enqueueing: 1, attempt: 1, time: "2026-01-01T00:00:05Z", seq: 5, by: "worker:w", ...change };
}

const ids = (rows: JobRow[]) => rows.map((row) => row.id).join("");

test("a new first page goes before the rows that it reaches into", () => {
  const held = { rows: ["c", "b", "a"].map((id) => makeRow(id)), cursor: "more" };
  const after = merge(held, ["e", "d", "c"].map((id) => makeRow(id)), "next");
  expect(ids(after.rows)).toBe("edcba");
  expect(after.cursor).toBe("more");
});

test("what lies between a new first page and old rows is not guessed: the list begins anew", () => {
  const held = { rows: ["c", "b", "a"].map((id) => makeRow(id)), cursor: "more" };
  expect(merge(held, ["x", "y"].map((id) => makeRow(id)), "next")).toMatchObject({ cursor: "next" });
  expect(ids(merge(held, ["x", "y"].map((id) => makeRow(id)), "next").rows)).toBe("xy");
});

test("a row that left the filter leaves the list with the next page", () => {
  const held = { rows: ["c", "b", "a"].map((id) => makeRow(id)), cursor: null };
  expect(ids(merge(held, ["c", "a"].map((id) => makeRow(id)), null).rows)).toBe("ca");
});

test("an answer that is older than an event does not turn a row back", () => {
  const held = { rows: [makeRow("a", { state: "succeeded", seq: 9 })], cursor: null };
  expect(merge(held, [makeRow("a", { state: "running", seq: 7 })], null).rows[0]?.state).toBe("succeeded");
});

test("an event changes its row and no other, and says when a run began and ended", () => {
  const rows = [makeRow("a"), makeRow("b")];
  const running = patch(rows, [makeEvent("a")]);
  expect(running[0]).toMatchObject({ state: "running", started: "2026-01-01T00:00:05Z", ended: null, seq: 5 });
  expect(running[1]).toBe(rows[1]);
  const failed = patch(running, [
    makeEvent("a", { state: "failed", seq: 8, time: "2026-01-01T00:00:09Z", error: { type: "ValueError", message: "no" } }),
  ]);
  expect(failed[0]).toMatchObject({ state: "failed", started: "2026-01-01T00:00:05Z", ended: "2026-01-01T00:00:09Z", error: { type: "ValueError" } });
});

test("of several events of one job the last counts, and old ones change nothing", () => {
  const rows = [makeRow("a", { seq: 6 })];
  expect(patch(rows, [makeEvent("a", { seq: 5 })])).toBe(rows);
  expect(patch(rows, [makeEvent("a", { seq: 7 }), makeEvent("a", { seq: 8, state: "succeeded" })])[0]?.state).toBe("succeeded");
});

test("of a hundred thousand rows only those near the window are drawn", () => {
  const [first, end] = sliceOf(2_000_000, 800, 100_000);
  expect(first).toBeLessThanOrEqual(50_000);
  expect(end).toBeGreaterThanOrEqual(50_020);
  expect(end - first).toBeLessThan(50);
  expect(sliceOf(0, 800, 3)).toEqual([0, 3]);
});
