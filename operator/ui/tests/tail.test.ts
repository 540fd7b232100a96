import { expect, test } from "vitest";
import type { EventRow } from "../src/api/event";
import { append, gist, isPattern, matchesPattern, matchesText, prepend } from "../src/tail";

const row = (seq: number, data: unknown = {}): EventRow => ({ seq, time: "2026-11-26T04:00:00Z", type: "order.placed", event: { type: "order.placed", data } });

test("a pattern is a type, the beginning of one, or all", () => {
  for (const good of ["*", "doc", "doc.created", "doc.*", "a.b-c.d.*"]) expect(isPattern(good), good).toBe(true);
  for (const bad of ["", "doc.", "*.created", "Doc", "doc.**", "doc created", ".", ">"]) expect(isPattern(bad), bad).toBe(false);
});

test("a beginning stands for everything below it and not for itself", () => {
  expect(matchesPattern("doc.*", "doc.created.late")).toBe(true);
  expect(matchesPattern("doc.*", "doc")).toBe(false);
  expect(matchesPattern("doc.*", "docs.created")).toBe(false);
  expect(matchesPattern("doc.created", "doc.created")).toBe(true);
  expect(matchesPattern("*", "anything")).toBe(true);
});

test("text is looked for in the whole event, whatever the case", () => {
  expect(matchesText(row(1, { customer: "ACME" }), "acme")).toBe(true);
  expect(matchesText(row(1, { customer: "ACME" }), "globex")).toBe(false);
  expect(matchesText(row(1), "")).toBe(true);
});

test("what comes stands first, each event once", () => {
  const { rows, cut } = prepend([row(3), row(2)], [row(3), row(4), row(5)]);
  expect(rows.map((one) => one.seq)).toEqual([5, 4, 3, 2]);
  expect(cut).toBe(false);
});

test("over the bound the oldest go, and it is said", () => {
  const { rows, cut } = prepend([row(2), row(1)], [row(3)], 2);
  expect(rows.map((one) => one.seq)).toEqual([3, 2]);
  expect(cut).toBe(true);
});

test("nothing new leaves the very same list", () => {
  const held = [row(2)];
  expect(prepend(held, [row(2)]).rows).toBe(held);
});

test("older pages stand behind, without what is there", () => {
  expect(append([row(5), row(4)], [row(4), row(3)]).map((one) => one.seq)).toEqual([5, 4, 3]);
});

test("the gist is the data in one line", () => {
  expect(gist(row(1, { total: 12 }))).toBe('{"total":12}');
  expect(gist({ ...row(1), event: null })).toBe("no CloudEvent");
});
