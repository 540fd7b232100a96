// Why a job that waits is not running, from what the page knows anyway: its own last record, its queue, who works. Pure.
// `jetmill why ID` looks into the cluster as well, and knows more.

import type { Cause, Job, Queue, Worker } from "./api/type";
import { count } from "./text";
import { away, millis } from "./time";

export interface Situation {
  job: Pick<Job, "job" | "state" | "scheduledFor" | "concurrencyKey" | "history">;
  /** Undefined: the Job is not declared, or not known yet. */
  queue: Queue | undefined;
  workers: Worker[];
  now: number;
}

export function findCauses({ job, queue, workers, now }: Situation): Cause[] {
  const due = millis(job.history.at(-1)?.due ?? job.scheduledFor);
  if (job.state === "cancelling") return [{ code: "cancelling", text: "It was told to stop: its worker is asked until the handler has ended" }];
  if (job.state === "retrying" || job.state === "scheduled") {
    const what = job.state === "retrying" ? "its next attempt" : "its time";
    if (due !== null && due > now) return [{ code: "waiting_until", text: `It waits for ${what}, due ${away(due, now)}` }];
  }
  if (!queue) return [];
  const found: Cause[] = [];
  if (queue.suspended) found.push({ code: "suspended", text: `The Job ${job.job} is suspended`, cure: "set spec.suspend: false" });
  const serving = workers.filter((worker) => worker.jobs.includes(job.job));
  const able = serving.filter((worker) => !worker.draining && !worker.stopping && !worker.missing?.includes(job.job));
  if (!serving.length) {
    found.push({ code: "no_worker", text: `No worker serves ${job.job}`, cure: "one may be on its way from zero; `jetmill why` asks the cluster" });
  } else if (!able.length) {
    found.push({ code: "no_able_worker", text: `None of ${count(serving.length, "worker")} takes it: they leave, or know no handler for it`, cure: "look at Workers" });
  } else if (able.every((worker) => worker.busy >= worker.slots)) {
    found.push({ code: "busy", text: `All slots of ${count(able.length, "worker")} are taken, and ${count(queue.ready, "job")} wait`, cure: "raise maxReplicas or concurrency if that lasts" });
  }
  if (job.concurrencyKey && !found.length) found.push({ code: "limit", text: `It may wait for another job with the key ${job.concurrencyKey}` });
  return found;
}
