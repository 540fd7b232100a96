import { expect, test } from "vitest";
import { away, local, millis, span, utc } from "../src/time";

test("a span is said in at most two units", () => {
  const said = [0, 0.4, 840, 3200, 9949, 9960, 59_400, 250_000, 7_500_000, 3 * 86_400_000 + 4 * 3_600_000].map(span);
  expect(said).toEqual(["0 ms", "0 ms", "840 ms", "3.2 s", "9.9 s", "10 s", "59 s", "4 min 10 s", "2 h 5 min", "3 d 4 h"]);
});

test("a moment is said by how far away it is, before and after", () => {
  const now = Date.parse("2026-01-02T03:04:05Z");
  expect(away(now - 400, now)).toBe("now");
  expect(away(now - 12_000, now)).toBe("12 s ago");
  expect(away(now + 180_000, now)).toBe("in 3 min");
  expect(away(now - 47 * 3_600_000, now)).toBe("47 h ago");
  expect(away(now - 49 * 3_600_000, now)).toBe("2 d ago");
});

test("the day is said only when it is not today, in the zone that was chosen", () => {
  const moment = Date.parse("2026-01-02T23:30:00Z");
  expect(local(moment, moment, "UTC")).toBe("23:30:00");
  expect(local(moment, moment, "Europe/Berlin")).toBe("00:30:00");
  expect(local(moment, moment + 86_400_000, "Europe/Berlin")).toBe("2026-01-03 00:30:00");
  expect(utc(moment)).toBe("2026-01-02 23:30:00.000 UTC");
});

test("what is no time is none", () => {
  expect([millis(null), millis(undefined), millis(""), millis("soon")]).toEqual([null, null, null, null]);
  expect(millis("1970-01-01T00:00:01Z")).toBe(1000);
});
