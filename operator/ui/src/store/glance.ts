// What the whole page keeps an eye on: queues and workers as the stream tells them, and how many dead letters wait.

import { computed, effect, signal } from "@preact/signals";
import { countJobs } from "../api/gateway";
import type { JobEvent, Queue, Worker } from "../api/type";
import { gaps, live } from "./live";
import { namespace, phase } from "./session";

export const queues = signal<Queue[] | null>(null);
export const workers = signal<Worker[] | null>(null);
/** Null while it is not known. */
export const deadCount = signal<number | null>(null);

/** How a Job's queue and workers stood at a moment. */
export interface Seen {
  /** Seconds since the epoch. */
  time: number;
  load: number;
  slots: number;
  workers: number;
}

const SEEN_MOST = 720;
const seen = signal<Record<string, Seen[]>>({});
const NOTHING: Seen[] = [];

export function seenOf(job: string): Seen[] {
  return seen.value[job] ?? NOTHING;
}

/** Note how the queues stand, every five seconds, for an hour. */
function note(): void {
  const rows = queues.peek();
  if (!rows || document.hidden) return;
  const time = Date.now() / 1000;
  const after = { ...seen.peek() };
  for (const row of rows) {
    const line = { time, load: row.ready + row.inFlight, slots: row.slots, workers: row.workers };
    after[row.job] = [...(after[row.job] ?? []), line].slice(-SEEN_MOST);
  }
  seen.value = after;
}

export const jobNames = computed(() => (queues.value ?? []).map((queue) => queue.job).sort());

const FAILED = new URLSearchParams({ state: "failed" });
let timer: ReturnType<typeof setTimeout> | undefined;

/** Ask for the number, at most every two seconds however much happens. */
export function recount(): void {
  if (timer) return;
  timer = setTimeout(async () => {
    timer = undefined;
    const name = namespace.peek();
    try {
      deadCount.value = await countJobs(name, FAILED);
    } catch {
      // the pages that need it say what is wrong
    }
  }, 2000);
}

function takeQueues(items: Queue[]): void {
  const first = queues.peek() === null;
  queues.value = items;
  if (first) note();
}

effect(() => {
  const name = namespace.value;
  if (phase.value !== "in" || !name) return undefined;
  void gaps.value;
  queues.value = null;
  workers.value = null;
  seen.value = {};
  const notes = setInterval(note, 5000);
  const counts = setInterval(recount, 30_000);
  void countJobs(name, FAILED).then((count) => (deadCount.value = count), () => (deadCount.value = null));
  const ends = [
    live.watch<Queue>("queues", { onItems: takeQueues }),
    live.watch<Worker>("workers", { onItems: (items) => (workers.value = items) }),
    live.watch<JobEvent>("state:failed", { onItems: recount, onGap: recount }),
    live.watch<JobEvent>("state:discarded", { onItems: recount, onGap: recount }),
  ];
  return () => {
    clearInterval(notes);
    clearInterval(counts);
    for (const end of ends) end();
  };
});
