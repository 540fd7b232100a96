// Short messages about what was done, read out by screen readers; gone after a while, errors when they are closed.

import { signal } from "@preact/signals";
import { ProblemError } from "../api/client";

export interface Notice {
  id: number;
  tone: "good" | "bad";
  text: string;
}

export const notices = signal<Notice[]>([]);
let last = 0;

export function say(text: string, tone: Notice["tone"] = "good"): void {
  const id = ++last;
  notices.value = [...notices.value.slice(-3), { id, tone, text }];
  if (tone === "good") setTimeout(() => dismiss(id), 6000);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Do something and say how it went; true if it went well. */
export async function attempt(what: () => Promise<string | void>): Promise<boolean> {
  try {
    const done = await what();
    if (done) say(done);
    return true;
  } catch (error) {
    say(reasonOf(error), "bad");
    return false;
  }
}

export function reasonOf(error: unknown): string {
  if (error instanceof ProblemError) return error.detail || error.message;
  return error instanceof Error ? error.message : String(error);
}
