import { expect, test } from "vitest";
import { nextOf, readSchedule } from "../src/schedule";

const declared = (spec: Record<string, unknown>, status: Record<string, unknown> = {}) => ({ name: "nightly", namespace: "shop", spec, status });
const RUNS = ["2026-11-26T02:30:00Z", "2026-11-27T02:30:00Z"];

test("a calendar is a cron expression, or a length of time", () => {
  expect(readSchedule(declared({ schedule: "30 2 * * *", timeZone: "Europe/Berlin" }))).toMatchObject({ calendar: "30 2 * * *", zone: "Europe/Berlin" });
  expect(readSchedule(declared({ every: "90s" }))).toMatchObject({ calendar: "every 90s", zone: "UTC" });
});

test("what the operator has not said yet is unknown, and no zero", () => {
  expect(readSchedule(declared({}))).toMatchObject({ active: null, missed: null, lastRun: null });
});

test("the next run is the first that is still to come, however old the status is", () => {
  const schedule = readSchedule(declared({ schedule: "30 2 * * *" }, { nextRuns: RUNS }));
  expect(nextOf(schedule, Date.parse("2026-11-26T02:00:00Z"))).toBe(RUNS[0]);
  expect(nextOf(schedule, Date.parse("2026-11-26T03:00:00Z"))).toBe(RUNS[1]);
});

test("nothing is next while a schedule is suspended", () => {
  expect(nextOf(readSchedule(declared({ suspend: true }, { nextRuns: RUNS })), 0)).toBe(null);
});
