// The rows of a list under change: pure, for they decide what people believe.

import type { JobEvent, JobRow } from "./api/type";

interface Held {
  rows: JobRow[];
  cursor: string | null;
}

/**
 * A new first page over what is held. Rows that follow it stay if the page reaches into them; if it does not, what lies
 * between is unknown, and the list begins anew with the page. A row that is newer here than in the answer stays newer.
 */
export function merge(held: Held, page: JobRow[], cursor: string | null): Held {
  const known = new Map(held.rows.map((row) => [row.id, row]));
  const newest = page.map((row) => {
    const mine = known.get(row.id);
    return mine && mine.seq > row.seq ? mine : row;
  });
  const last = page.at(-1);
  const at = last ? held.rows.findIndex((row) => row.id === last.id) : -1;
  if (at < 0 || at === held.rows.length - 1 || cursor === null) return { rows: newest, cursor };
  const inPage = new Set(page.map((row) => row.id));
  return { rows: [...newest, ...held.rows.slice(at + 1).filter((row) => !inPage.has(row.id))], cursor: held.cursor };
}

/** What events say of rows that are there; the same array if they say nothing. Older events than a row are ignored. */
export function patch(rows: JobRow[], events: JobEvent[]): JobRow[] {
  const newest = new Map<string, JobEvent>();
  for (const event of events) newest.set(event.id, event);
  let touched = false;
  const after = rows.map((row) => {
    const event = newest.get(row.id);
    if (!event || event.seq <= row.seq) return row;
    touched = true;
    return change(row, event);
  });
  return touched ? after : rows;
}

const FINAL = new Set(["succeeded", "failed", "cancelled", "skipped", "discarded"]);

function change(row: JobRow, event: JobEvent): JobRow {
  const began = event.state === "running" && (row.state !== "running" || row.attempt !== event.attempt);
  return {
    ...row,
    state: event.state,
    reason: event.reason ?? null,
    enqueueing: event.enqueueing,
    attempt: event.attempt,
    crashes: event.crashes ?? row.crashes,
    seq: event.seq,
    updated: event.time,
    due: event.due ?? null,
    worker: event.worker ?? row.worker ?? null,
    started: began ? event.time : (row.started ?? null),
    ended: FINAL.has(event.state) || event.state === "retrying" ? event.time : null,
    error: event.error ?? row.error ?? null,
  };
}
