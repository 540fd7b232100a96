import { expect, test } from "vitest";
import { filterParams, isEmpty, mayMatch, momentOf, parseFilter, parseWords, selectionOf } from "../src/filter";

const none = parseFilter(new URLSearchParams());

test("a filter goes into the address and comes back the same", () => {
  const address = "job=a&job=b&state=failed&reason=poison&label=tenant%3Dacme&user=ada&error=time+out&errorGroup=E%3A+%23&createdAfter=1h&sort=-updated";
  const filter = parseFilter(new URLSearchParams(address));
  expect(filterParams(filter).toString()).toBe(address);
  expect(isEmpty(filter)).toBe(false);
  expect(isEmpty(none)).toBe(true);
  expect(filterParams(none).toString()).toBe("");
});

test("a filter is what an operation selects by, and what is not set is not said", () => {
  const filter = parseFilter(new URLSearchParams("job=a&state=failed&label=tenant%3Dacme%3D1&errorGroup=E%3A+%23&sort=created"));
  expect(selectionOf(filter)).toEqual({ job: ["a"], state: ["failed"], label: { tenant: "acme=1" }, errorGroup: "E: #" });
  expect(selectionOf(none)).toEqual({});
});

test("a state that there is not is left out of the filter", () => {
  expect(parseFilter(new URLSearchParams("state=failed&state=broken")).state).toEqual(["failed"]);
});

test("typed words become parts of the filter, and the rest looks into errors", () => {
  const filter = parseWords('state:failed job:send-email label:tenant=acme user:ada since:2h connection "reset', none);
  expect(filter).toMatchObject({ state: ["failed"], job: ["send-email"], label: ["tenant=acme"], user: "ada", createdAfter: "2h" });
  expect(filter.error).toBe('connection "reset');
  expect(parseWords('error:"read timed out"', none).error).toBe("read timed out");
});

test("words that are typed again add nothing twice and take nothing away", () => {
  const once = parseWords("state:failed reason:poison", none);
  const twice = parseWords("state:failed state:queued", once);
  expect(twice.state).toEqual(["failed", "queued"]);
  expect(twice.reason).toEqual(["poison"]);
  expect(once.state).toEqual(["failed"]);
});

test("a span before now becomes a moment, anything else stays", () => {
  const now = Date.parse("2026-01-02T03:04:05Z");
  expect(momentOf("1h", now)).toBe("2026-01-02T02:04:05.000Z");
  expect(momentOf("30min", now)).toBe("2026-01-02T02:34:05.000Z");
  expect(momentOf("2026-01-01T00:00:00Z", now)).toBe("2026-01-01T00:00:00Z");
});

test("an event is no reason to ask anew for a list that it cannot belong to", () => {
  const filter = parseWords("job:a state:failed", none);
  expect(mayMatch(filter, { job: "a", state: "failed" })).toBe(true);
  expect(mayMatch(filter, { job: "b", state: "failed" })).toBe(false);
  expect(mayMatch(filter, { job: "a", state: "queued" })).toBe(false);
});
