// Doing something to jobs, one or many, and saying how it went.

import { act, type Action, beginOperation, getOperation, type Selection } from "../api/gateway";
import { ProblemError } from "../api/client";
import { count, whole } from "../text";
import { recount } from "./glance";
import { attempt, reasonOf, say } from "./notice";
import { may, namespace } from "./session";

export const DONE: Record<Action, string> = { cancel: "Cancelled", retry: "Queued again", discard: "Discarded" };
const AT_ONCE = 8;
const POLL_MS = 400;

/** Cancelling is for what is open, retrying for what has ended or waits for its next attempt, discarding for what failed. */
export function applies(action: Action, state: string): boolean {
  if (action === "cancel") return ["scheduled", "queued", "running", "retrying"].includes(state);
  if (action === "discard") return state === "failed";
  return ["retrying", "failed", "cancelled", "skipped", "succeeded"].includes(state);
}

export function allowed(action: Action): boolean {
  return may("create", `jobs/${action}`);
}

export function explain(action: Action): string {
  if (action === "cancel") return "Those that wait never start. Those that run are asked to stop; the handler decides how fast.";
  if (action === "retry") return "Those that ended are queued again under the same ids, with all their attempts anew. Those that wait for their next attempt have it now.";
  return "They are given up for good: kept for reading until they are removed by age, but never run again.";
}

export async function actOnOne(action: Action, id: string): Promise<boolean> {
  const done = await attempt(async () => {
    await act(action, id, namespace.value);
    return action === "cancel" ? "The job is being cancelled" : `${DONE[action]}: 1 job`;
  });
  recount();
  return done;
}

/** Each by itself, a few at a time; one that is refused stops none of the others. */
export async function actOnMany(action: Action, ids: string[]): Promise<void> {
  const refused: unknown[] = [];
  const rest = [...ids];
  const name = namespace.value;
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, ids.length) }, async () => {
      for (let id = rest.pop(); id !== undefined; id = rest.pop()) {
        try {
          await actPatiently(action, id, name);
        } catch (error) {
          refused.push(error);
          if (error instanceof ProblemError && (error.status === 403 || error.status === 401)) rest.length = 0;
        }
      }
    }),
  );
  const done = ids.length - refused.length - rest.length;
  if (done) say(`${DONE[action]}: ${count(done, "job")}`);
  if (refused.length) say(`${count(refused.length, "job")} refused: ${reasonOf(refused[0])}`, "bad");
  recount();
}

/** All that match, in the background, as many as were confirmed; says how it goes until it has ended. */
export async function actOnAll(action: Action, filter: Selection, confirm: number): Promise<void> {
  const name = namespace.value;
  await attempt(async () => {
    let one = await beginOperation(action, filter, confirm, name);
    for (let told = 0; one.state === "running"; told++) {
      if (told % 8 === 7) say(`${whole(one.done)} of ${count(one.total, "job")} …`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      one = await getOperation(one.id, name);
    }
    recount();
    if (one.failed) say(`${count(one.failed, "job")} refused: ${one.faults?.[0]?.detail ?? "see the log"}`, "bad");
    if (one.state !== "done") say(`It ended early, after ${whole(one.done)} of ${count(one.total, "job")}: ${one.why ?? one.state}`, "bad");
    const moved = one.skipped ? `, ${whole(one.skipped)} had moved on` : "";
    return `${DONE[action]}: ${count(one.changed, "job")}${moved}`;
  });
}

/** Told to slow down (429), it does: many jobs are many requests. */
async function actPatiently(action: Action, id: string, name: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await act(action, id, name);
      return;
    } catch (error) {
      if (!(error instanceof ProblemError) || error.status !== 429 || tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? 1) * 1000));
    }
  }
}
