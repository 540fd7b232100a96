// What needs somebody's attention, decided from what is known; the worst first. Pure.

import type { Declaration } from "./api/gateway";
import type { Bucket, Flow, Queue, Worker } from "./api/type";
import type { Hook } from "./api/webhook";
import { count, percent } from "./text";
import { span } from "./time";

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
  flows: Record<string, Flow>;
  workers: Worker[];
  dead: number;
  buckets: Bucket[];
  declarations: Declaration[];
  hooks: Hook[];
  /** Milliseconds since the epoch. */
  now: number;
}

const ENOUGH = 20;
const HIGH_FAILURE = 0.1;
const LATE_SECONDS = 300;
const FAILING_MS = 60_000;

/** Whether a job has waited for so long that somebody should know. */
export function isLate(oldestSeconds: number | undefined): boolean {
  return oldestSeconds !== undefined && oldestSeconds >= LATE_SECONDS;
}

export function findAttention(known: Known): Finding[] {
  return [...ofDeclarations(known.declarations), ...ofQueues(known), ...ofFailures(known), ...ofWorkers(known.workers), ...ofHooks(known)].sort(
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

function ofQueues({ queues, flows }: Known): Finding[] {
  return queues.flatMap((queue): Finding[] => {
    const to: Finding["to"] = [`declarations/${queue.job}`];
    if (queue.suspended && queue.ready) {
      return [{ code: "suspended", tone: "warn", text: `Job ${queue.job} is suspended`, detail: `${count(queue.ready, "job")} wait until it is not`, to }];
    }
    if (queue.ready && !queue.workers) {
      return [{ code: "no_worker", tone: "bad", text: `No worker serves ${queue.job}`, detail: `${count(queue.ready, "job")} wait; workers may be on their way from zero`, to }];
    }
    const oldest = flows[queue.job]?.oldestSeconds;
    if (oldest !== undefined && isLate(oldest)) {
      return [{ code: "late", tone: "warn", text: `Jobs of ${queue.job} start late`, detail: `one has waited for ${span(oldest * 1000)}`, to }];
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

/** One that fails for a moment is what retries are for. */
function ofHooks({ hooks, now }: Known): Finding[] {
  return hooks.flatMap((hook): Finding[] => {
    const to: Finding["to"] = [`webhooks/${hook.name}`];
    if (hook.disabled) {
      return [{ code: "webhook_disabled", tone: "bad", text: `Webhook ${hook.name} is disabled`, detail: "nothing is sent to its receiver until somebody enables it", to }];
    }
    const failing = hook.failingSince ? now - Date.parse(hook.failingSince) : 0;
    if (failing < FAILING_MS || hook.suspended) return [];
    return [{ code: "webhook_failing", tone: "warn", text: `Webhook ${hook.name} fails`, detail: `its receiver has taken nothing for ${span(failing)}`, to }];
  });
}
