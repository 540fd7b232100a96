import { beforeEach, expect, test, vi } from "vitest";
import { backoff, type Socket, Stream } from "../src/api/stream";

class FakeSocket implements Socket {
  sent: Record<string, unknown>[] = [];
  closed = false;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(frame: Record<string, unknown>) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  drop(code: number) {
    this.onclose?.({ code, reason: "" });
  }
}

function begin() {
  const sockets: FakeSocket[] = [];
  const states: string[] = [];
  const back: [number, boolean][] = [];
  let strangers = 0;
  const stream = new Stream({
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    onState: (state) => states.push(state),
    onStranger: () => strangers++,
    onBack: (late, gap) => back.push([late, gap]),
    backoff: () => 100,
  });
  stream.start("shop");
  return { stream, sockets, states, back, strangers: () => strangers, socket: () => sockets.at(-1) as FakeSocket };
}

beforeEach(() => {
  vi.useFakeTimers();
});

test("what is watched before the socket is open is asked for when it is", () => {
  const { stream, socket } = begin();
  stream.watch("namespace", { onItems: () => undefined });
  expect(socket().sent).toEqual([]);
  socket().say({ type: "hello", heartbeatSeconds: 15 });
  expect(socket().sent).toEqual([{ op: "subscribe", topic: "namespace" }]);
});

test("two who watch one topic share a subscription, which ends with the last of them", () => {
  const { stream, socket } = begin();
  socket().say({ type: "hello" });
  const seen: unknown[] = [];
  const first = stream.watch("namespace", { onItems: (items) => seen.push(...items) });
  const second = stream.watch("namespace", { onItems: (items) => seen.push(...items) });
  socket().say({ type: "events", topic: "namespace", seq: 4, items: ["x"] });
  expect(seen).toEqual(["x", "x"]);
  first();
  second();
  expect(socket().sent.map((frame) => frame["op"])).toEqual(["subscribe", "unsubscribe"]);
});

test("after a break each topic goes on after the last sequence that it was given", () => {
  const { stream, socket, states } = begin();
  stream.watch("jobs:mail", { onItems: () => undefined });
  stream.watch("queues", { onItems: () => undefined });
  socket().say({ type: "hello" });
  socket().say({ type: "subscribed", topic: "jobs:mail", seq: 7 });
  socket().say({ type: "events", topic: "jobs:mail", after: 7, seq: 12, items: [{}] });
  socket().drop(1012);
  vi.advanceTimersByTime(100);
  socket().say({ type: "hello" });
  expect(states).toEqual(["joining", "open", "away", "joining", "open"]);
  expect(socket().sent).toEqual([
    { op: "subscribe", topic: "jobs:mail", after: 12 },
    { op: "subscribe", topic: "queues" },
  ]);
});

test("a heartbeat moves topics without news on, so that a quiet one resumes where the ledger is", () => {
  const { stream, socket } = begin();
  stream.watch("state:failed", { onItems: () => undefined });
  socket().say({ type: "hello" });
  socket().say({ type: "subscribed", topic: "state:failed", seq: 7 });
  socket().say({ type: "heartbeat", cursors: { shop: { ledger: 900 }, other: { ledger: 5000 } } });
  socket().drop(1006);
  vi.advanceTimersByTime(100);
  socket().say({ type: "hello" });
  expect(socket().sent).toEqual([{ op: "subscribe", topic: "state:failed", after: 900 }]);
});

test("after a break it is told how much came late, and whether some never will", () => {
  const { stream, socket, back } = begin();
  let gaps = 0;
  stream.watch("namespace", { onItems: () => undefined, onGap: () => gaps++ });
  socket().say({ type: "hello" });
  socket().say({ type: "subscribed", topic: "namespace", seq: 1 });
  for (const gap of [false, true]) {
    socket().drop(1006);
    vi.advanceTimersByTime(100);
    socket().say({ type: "hello" });
    socket().say({ type: "events", topic: "namespace", seq: 3, items: [1, 2] });
    if (gap) socket().say({ type: "gap", topic: "namespace", seq: 9, reason: "history" });
    vi.advanceTimersByTime(2000);
  }
  expect(back).toEqual([
    [2, false],
    [2, true],
  ]);
  expect(gaps).toBe(1);
});

test("a socket that says nothing for two heartbeats is given up", () => {
  const { socket, sockets, states } = begin();
  socket().say({ type: "hello", heartbeatSeconds: 10 });
  vi.advanceTimersByTime(24_000);
  expect(states.at(-1)).toBe("open");
  vi.advanceTimersByTime(1_100);
  expect(sockets.length).toBe(2);
  expect(sockets[0]?.closed).toBe(true);
});

test("a topic that cannot be watched now is asked for again, one that may not be watched is not", () => {
  const { stream, socket } = begin();
  socket().say({ type: "hello" });
  for (const name of ["workers", "queues"]) stream.watch(name, { onItems: () => undefined });
  socket().say({ type: "error", topic: "workers", code: "unavailable" });
  socket().say({ type: "error", topic: "queues", code: "forbidden" });
  vi.advanceTimersByTime(5000);
  expect(socket().sent.map((frame) => frame["topic"])).toEqual(["workers", "queues", "workers"]);
});

test("an ended session is not tried again", () => {
  const { socket, sockets, strangers } = begin();
  socket().say({ type: "hello" });
  socket().drop(4401);
  vi.advanceTimersByTime(60_000);
  expect([sockets.length, strangers()]).toEqual([1, 1]);
});

test("pages come back slower and slower, and not all at once", () => {
  expect(backoff(0)).toBeLessThanOrEqual(500);
  for (let tries = 0; tries < 40; tries++) expect(backoff(tries)).toBeLessThanOrEqual(15_000);
  expect(backoff(20)).toBeGreaterThanOrEqual(7_500);
});

test("who watches hears where it begins, once: not again when it goes on after a break", () => {
  const { stream, socket } = begin();
  socket().say({ type: "hello" });
  const begun: number[] = [];
  stream.watch("namespace", { onItems: () => undefined, onBegin: (seq) => begun.push(seq) });
  socket().say({ type: "subscribed", topic: "namespace", seq: 7 });
  socket().drop(1012);
  vi.advanceTimersByTime(100);
  socket().say({ type: "hello" });
  socket().say({ type: "subscribed", topic: "namespace", seq: 9 });
  expect(begun).toEqual([7]);
});
