// Buckets of the statistics as series for charts and as single figures. Pure.

import type { Bucket } from "./api/type";
import { millis } from "./time";

export interface Lookback {
  minutes: number;
  stepSeconds: number;
  name: string;
}

export const LOOKBACKS: Lookback[] = [
  { minutes: 15, stepSeconds: 60, name: "15 min" },
  { minutes: 60, stepSeconds: 60, name: "1 h" },
  { minutes: 360, stepSeconds: 300, name: "6 h" },
  { minutes: 1440, stepSeconds: 1200, name: "24 h" },
];

export function lookbackOf(minutes: string): Lookback {
  return LOOKBACKS.find((one) => String(one.minutes) === minutes) ?? (LOOKBACKS[1] as Lookback);
}

type Counted = "enqueued" | "succeeded" | "failed" | "cancelled" | "retried";

/** The buckets on the whole ruler: where the gateway says nothing, nothing happened. */
export function fill(buckets: Bucket[], from: number, to: number, stepSeconds: number): Bucket[] {
  const known = new Map(buckets.map((bucket) => [Math.floor((millis(bucket.time) ?? 0) / 1000 / stepSeconds), bucket]));
  const found: Bucket[] = [];
  for (let at = Math.floor(from / 1000 / stepSeconds); at <= Math.floor(to / 1000 / stepSeconds); at++) {
    const time = new Date(at * stepSeconds * 1000).toISOString();
    found.push(known.get(at) ?? { time, enqueued: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0 });
  }
  return found;
}

export function timesOf(buckets: Bucket[]): number[] {
  return buckets.map((bucket) => (millis(bucket.time) ?? 0) / 1000);
}

/** Per second. The last bucket is not over yet: it is left out, or it would always look like a slump. */
export function rates(buckets: Bucket[], what: Counted, stepSeconds: number): (number | null)[] {
  return buckets.map((bucket, index) => (index === buckets.length - 1 ? null : bucket[what] / stepSeconds));
}

export function sum(buckets: Bucket[], what: Counted): number {
  return buckets.reduce((all, bucket) => all + bucket[what], 0);
}

/** The newest known value of a percentile, in seconds; null if none was measured. */
export function newest(buckets: Bucket[], what: "waitP50" | "waitP99" | "runP50" | "runP99"): number | null {
  return buckets.findLast((bucket) => typeof bucket[what] === "number")?.[what] ?? null;
}
