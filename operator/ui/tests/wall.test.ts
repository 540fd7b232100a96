import { expect, test } from "vitest";
import { wallOf } from "../src/wall";

const at = (text: string) => Date.parse(text);

test("a wall clock says the day, the time and how far it is from UTC", () => {
  expect(wallOf(at("2026-11-30T01:30:00Z"), "Europe/Berlin")).toEqual({ day: "Mon 30 Nov", year: "2026", time: "02:30:00", offset: "+01:00" });
  expect(wallOf(at("2026-11-30T01:30:00Z"), "UTC")).toEqual({ day: "Mon 30 Nov", year: "2026", time: "01:30:00", offset: "+00:00" });
  expect(wallOf(at("2026-11-30T18:30:05Z"), "Asia/Kathmandu")).toEqual({ day: "Tue 1 Dec", year: "2026", time: "00:15:05", offset: "+05:45" });
});

test("midnight is the hour 00", () => {
  expect(wallOf(at("2026-11-30T00:00:00Z"), "UTC").time).toBe("00:00:00");
});

test("a zone that the browser does not know is read as UTC", () => {
  expect(wallOf(at("2026-11-30T01:30:00Z"), "Mars/Olympus").time).toBe("01:30:00");
});
