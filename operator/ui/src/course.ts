// A job's chain of records as lanes and bars: a lane for each attempt, a bar for each state it was in. Pure.

import type { State, Transition } from "./api/type";
import { millis } from "./time";

export interface Bar {
  state: State;
  from: number;
  to: number;
  /** It still goes on. */
  open: boolean;
  /** How a run ended: the state after it. */
  then: State | null;
  worker: string | null;
}

export interface Lane {
  enqueueing: number;
  attempt: number;
  /** The first of its enqueueing, where there are several. */
  begins: boolean;
  bars: Bar[];
}

const FINAL: ReadonlySet<State> = new Set<State>(["succeeded", "failed", "cancelled", "skipped", "discarded"]);

/** A waiting for a retry is drawn before the attempt that it leads to, for that is what people look for there. */
export function lanesOf(history: Transition[], now: number): Lane[] {
  const lanes: Lane[] = [];
  const laneOf = (enqueueing: number, attempt: number): Lane => {
    const found = lanes.find((lane) => lane.enqueueing === enqueueing && lane.attempt === attempt);
    if (found) return found;
    const begins = !lanes.some((lane) => lane.enqueueing === enqueueing);
    const lane = { enqueueing, attempt, begins, bars: [] };
    lanes.push(lane);
    return lane;
  };
  history.forEach((record, index) => {
    if (FINAL.has(record.state)) {
      if (!history[index - 1] || history[index - 1]?.enqueueing !== record.enqueueing) laneOf(record.enqueueing, record.attempt);
      return;
    }
    const next = history[index + 1];
    const from = millis(record.time) ?? now;
    const to = next ? (millis(next.time) ?? now) : Math.max(from, now);
    const attempt = record.state === "retrying" ? record.attempt + 1 : record.attempt;
    laneOf(record.enqueueing, attempt).bars.push({
      state: record.state,
      from,
      to,
      open: !next,
      then: next?.state ?? null,
      worker: record.worker ?? null,
    });
  });
  return lanes;
}

export function extentOf(lanes: Lane[]): [number, number] {
  const bars = lanes.flatMap((lane) => lane.bars);
  if (!bars.length) return [0, 1];
  const from = Math.min(...bars.map((bar) => bar.from));
  const to = Math.max(...bars.map((bar) => bar.to));
  return [from, Math.max(to, from + 1)];
}

/** Round steps for a ruler over so many milliseconds, at most `most` of them. */
export function ticks(size: number, most: number): number[] {
  const units = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 21600e3, 43200e3, 86400e3];
  const step = units.find((unit) => size / unit <= most) ?? Math.ceil(size / most / 86400e3) * 86400e3;
  const found: number[] = [];
  for (let at = 0; at <= size; at += step) found.push(at);
  return found;
}
