import { expect, test } from "vitest";
import type { Declaration } from "../src/api/gateway";
import { joinWebhook, joinWebhooks, successOf, waitingOf } from "../src/webhook";

const declared = (name: string, status: Record<string, unknown> = {}): Declaration => ({
  name,
  namespace: "shop",
  spec: { url: "http://crm/hook", events: ["order.*"], secretRef: { name: "s", key: "k" } },
  status,
});

test("the dispatchers know sooner than the status how a receiver fares", () => {
  const status = { attempts: { delivered: 1, failed: 0 }, backlog: { ready: 1, inFlight: 2, delayed: 3 } };
  const joined = joinWebhook(declared("crm", status), { name: "crm", events: [], url: "", method: "POST", delivered: 1, failed: 3, circuit: "open" });
  expect(successOf(joined)).toBe(25);
  expect(joined.circuit).toBe("open");
  expect(waitingOf(joined)).toBe(6);
});

test("where the dispatchers say nothing, the status is shown", () => {
  const joined = joinWebhook(declared("crm", { attempts: { delivered: 199, failed: 1 }, failingSince: "2026-11-26T04:00:00Z" }), null);
  expect(successOf(joined)).toBe(99);
  expect(joined.failingSince).toBe("2026-11-26T04:00:00Z");
  expect(joined.circuit).toBe(null);
});

test("no attempt is no rate, and nobody counted is no number", () => {
  const joined = joinWebhook(declared("crm"), null);
  expect(successOf(joined)).toBe(null);
  expect(waitingOf(joined)).toBe(null);
});

test("one that only the dispatchers know is shown too", () => {
  const joined = joinWebhooks([declared("crm")], [{ name: "old", events: ["*"], url: "http://old", method: "PUT" }]);
  expect(joined.map((one) => [one.name, one.method, one.signed])).toEqual([["crm", "POST", true], ["old", "PUT", false]]);
});
