// The tail of the bus as the page holds it: newest first, each event once, and no more than a page can carry. Pure.

import type { EventRow } from "./api/event";

/** So many events are held; the oldest go first. */
export const MOST = 5000;

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const PATTERN = new RegExp(`^(?:\\*|${LABEL}(?:\\.${LABEL}){0,7}(?:\\.\\*)?)$`);

/** A type, `doc.*` for all below it, or `*`. */
export function isPattern(text: string): boolean {
  return PATTERN.test(text);
}

export function matchesPattern(pattern: string, type: string): boolean {
  if (pattern === "*" || pattern === "") return true;
  return pattern.endsWith(".*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}

/** As the gateway searches: text somewhere in the event, whatever the case. */
export function matchesText(row: EventRow, text: string): boolean {
  return !text || JSON.stringify(row.event ?? row.type).toLowerCase().includes(text.toLowerCase());
}

/** What came, before what is held; `cut` says that older ones were let go. */
export function prepend(held: EventRow[], came: EventRow[], most = MOST): { rows: EventRow[]; cut: boolean } {
  const known = new Set(held.map((row) => row.seq));
  const added = came.filter((row) => !known.has(row.seq));
  if (!added.length) return { rows: held, cut: false };
  const rows = [...added, ...held].sort((a, b) => b.seq - a.seq);
  return { rows: rows.slice(0, most), cut: rows.length > most };
}

/** An older page behind what is held. */
export function append(held: EventRow[], page: EventRow[]): EventRow[] {
  const known = new Set(held.map((row) => row.seq));
  return [...held, ...page.filter((row) => !known.has(row.seq))].sort((a, b) => b.seq - a.seq);
}

/** The data in one line. */
export function gist(row: EventRow): string {
  const data = row.event?.data;
  if (data === undefined || data === null) return row.event ? "" : "no CloudEvent";
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}
