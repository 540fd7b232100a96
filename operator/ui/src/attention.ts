// What needs somebody's attention, decided from what is known; the worst first. Pure.

import type { Declaration } from "./api/gateway";
import type { Bucket, Queue, Worker } from "./api/type";
import { count, percent } from "./text";

export interface Finding {
  code: string;
  tone: "bad" | "warn";
  text: string;
  detail: string;
  /** Where to look: a path and a query. */
  to: [string, string?];
}

export interface Known {
  queues: Queue[];
  workers: Worker[];
  dead: number;
  buckets: Bucket[];
  declarations: Declaration[];
}

const ENOUGH = 20;
const HIGH_FAILURE = 0.1;

export function findAttention(known: Known): Finding[] {
  return [...ofDeclarations(known.declarations), ...ofQueues(known), ...ofFailures(known), ...ofWorkers(known.workers)].sort(
    (a, b) => Number(a.tone === "warn") - Number(b.tone === "warn"),
  );
}

function ofDeclarations(declarations: Declaration[]): Finding[] {
  return declarations.flatMap((declaration): Finding[] => {
    const name = declaration.name;
    const ready = declaration.status?.conditions?.find((condition) => condition.type === "Ready");
    if (ready?.status !== "False") return [];
    return [{ code: "not_ready", tone: "bad", text: `Job ${name} is not ready`, detail: ready.message ?? ready.reason ?? "", to: [`declarations/${name}`] }];
  });
}

function ofQueues({ queues }: Known): Finding[] {
  return queues.flatMap((queue): Finding[] => {
    const to: Finding["to"] = [`declarations/${queue.job}`];
    if (queue.suspended && queue.ready) {
      return [{ code: "suspended", tone: "warn", text: `Job ${queue.job} is suspended`, detail: `${count(queue.ready, "job")} wait until it is not`, to }];
    }
    if (queue.ready && !queue.workers) {
      return [{ code: "no_worker", tone: "bad", text: `No worker serves ${queue.job}`, detail: `${count(queue.ready, "job")} wait; workers may be on their way from zero`, to }];
    }
    return [];
  });
}

function ofFailures({ dead, buckets }: Known): Finding[] {
  const found: Finding[] = [];
  const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
  const ended = failed + buckets.reduce((sum, bucket) => sum + bucket.succeeded, 0);
  if (ended >= ENOUGH && failed / ended >= HIGH_FAILURE) {
    found.push({ code: "failing", tone: "bad", text: `${percent(failed, ended)} of the jobs that ended failed`, detail: `${count(failed, "job")} of ${ended} in the time shown`, to: ["jobs", "state=failed"] });
  }
  if (dead) found.push({ code: "dead_letters", tone: "warn", text: `${count(dead, "dead letter")}`, detail: "failed for good: retry them once the cause is mended, or give them up", to: ["dead"] });
  return found;
}

function ofWorkers(workers: Worker[]): Finding[] {
  const lost = workers.filter((worker) => worker.missing?.length);
  if (!lost.length) return [];
  const names = [...new Set(lost.flatMap((worker) => worker.missing ?? []))].join(", ");
  return [{ code: "unknown_handler", tone: "warn", text: `${count(lost.length, "worker")} without a handler`, detail: `for ${names}: their image may be older than the Job`, to: ["workers"] }];
}
