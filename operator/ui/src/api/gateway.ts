// The gateway's routes that the page uses, each by a function; nothing else of the page knows a path.

import { ask, type Answer } from "./client";
import type { Bucket, Cause, Condition, Flow, Group, Job, JobRow, LogLine, Page, Transition } from "./type";

export interface Access {
  user: string;
  groups: string[];
  /** How he came in: `none` asks nobody. */
  method: "bearer" | "session" | "ticket" | "none";
  namespace: string;
  rights: { verb: string; resource: string; allowed: boolean; description: string }[];
}

export interface Server {
  version: string;
  namespaces: string[];
  defaultNamespace?: string;
  auth: string;
  connected: boolean;
  maxBulk: number;
}

export async function askAccess(namespace: string, signal?: AbortSignal): Promise<Access> {
  return (await ask<Access>("access", { params: { namespace }, signal })).body;
}

export async function askServer(signal?: AbortSignal): Promise<Server> {
  return (await ask<Server>("server", { signal })).body;
}

export async function login(token: string): Promise<void> {
  await ask("session", { method: "POST", body: { token } });
}

export async function logout(): Promise<void> {
  await ask("session", { method: "DELETE" });
}

/** What this page changed last, by namespace: lists are asked for with it, so that one reads what one wrote. */
const written = new Map<string, number>();

function among(namespace: string, params: URLSearchParams): URLSearchParams {
  const all = new URLSearchParams(params);
  all.set("namespace", namespace);
  const seq = written.get(namespace);
  if (seq) all.set("after", String(seq));
  return all;
}

export function listJobs(namespace: string, params: URLSearchParams, signal?: AbortSignal): Promise<Answer<Page<JobRow>>> {
  const all = among(namespace, params);
  return ask<Page<JobRow>>("jobs", { params: all, signal });
}

export async function countJobs(namespace: string, params: URLSearchParams, signal?: AbortSignal): Promise<number> {
  const all = among(namespace, params);
  all.delete("sort"); // a number has no order, and the gateway refuses what means nothing
  return (await ask<{ count: number }>("count", { params: all, signal })).body.count;
}

export async function groupJobs(namespace: string, by: string, params: URLSearchParams, signal?: AbortSignal): Promise<Group[]> {
  const all = among(namespace, params);
  all.set("by", by);
  return (await ask<{ items: Group[] }>("groups", { params: all, signal })).body.items;
}

export async function getJob(id: string, namespace: string, signal?: AbortSignal): Promise<Job> {
  const [job, history] = await Promise.all([
    ask<Omit<Job, "history">>(`jobs/${id}`, { params: { namespace }, signal }),
    ask<{ items: Transition[] }>(`jobs/${id}/history`, { params: { namespace }, signal }),
  ]);
  return { ...job.body, history: history.body.items };
}

export async function explainJob(id: string, namespace: string, signal?: AbortSignal): Promise<Cause[]> {
  return (await ask<{ items?: Cause[] }>(`jobs/${id}/why`, { params: { namespace }, signal })).body.items ?? [];
}

export async function getPayload(id: string, namespace: string, signal?: AbortSignal): Promise<unknown> {
  return (await ask<{ payload: unknown }>(`jobs/${id}/payload`, { params: { namespace }, signal })).body.payload;
}

export async function getResult(id: string, namespace: string, signal?: AbortSignal): Promise<unknown> {
  return (await ask<{ result: unknown }>(`jobs/${id}/result`, { params: { namespace }, signal })).body.result;
}

/** A log line as its worker wrote it. */
export function readLine(seq: number, time: string, data: Partial<LogLine> | null | undefined): LogLine {
  const { level = "info", message = "", attempt = 0, fields = {} } = data ?? {};
  return { seq, time, level, message, attempt, fields };
}

export type Action = "cancel" | "retry" | "discard";

export async function act(action: Action, id: string, namespace: string): Promise<number> {
  const { seq } = await ask(`jobs/${id}/${action}`, { method: "POST", params: { namespace } });
  written.set(namespace, Math.max(seq, written.get(namespace) ?? 0));
  return seq;
}

/** The filters of lists, as the body of an operation has them. */
export type Selection = Record<string, string | string[] | Record<string, string>>;

export interface Operation {
  id: string;
  action: Action;
  state: "running" | "done" | "cancelled" | "interrupted" | "failed";
  total: number;
  done: number;
  changed: number;
  skipped: number;
  failed: number;
  faults?: { id: string; detail: string }[];
  why?: string;
}

/** What is selected includes what this page wrote. */
function known(namespace: string): { after?: number } {
  const after = written.get(namespace);
  return after === undefined ? {} : { after };
}

/** How many jobs an action would change now. */
export async function countActed(action: Action, filter: Selection, namespace: string): Promise<number> {
  const body = { action, filter, ...known(namespace) };
  return (await ask<{ count: number }>("operations/preview", { method: "POST", params: { namespace }, body })).body.count;
}

export async function beginOperation(action: Action, filter: Selection, confirm: number, namespace: string): Promise<Operation> {
  return (await ask<Operation>("operations", { method: "POST", params: { namespace }, body: { action, filter, confirm, ...known(namespace) } })).body;
}

export async function getOperation(id: string, namespace: string): Promise<Operation> {
  return (await ask<Operation>(`operations/${id}`, { params: { namespace } })).body;
}

export async function getStats(
  namespace: string,
  options: { since: string; step: number; job?: string | undefined },
  signal?: AbortSignal,
): Promise<Bucket[]> {
  return (await ask<{ items: Bucket[] }>("stats", { params: { namespace, ...options }, signal })).body.items;
}

/** By Job. */
export async function listFlows(namespace: string, signal?: AbortSignal): Promise<Record<string, Flow>> {
  const { items } = (await ask<{ items: Flow[] }>("queues", { params: { namespace }, signal })).body;
  return Object.fromEntries(items.map((one) => [one.job, one]));
}

export interface Declaration {
  name: string;
  namespace: string;
  generation?: number;
  created?: string;
  deleting?: boolean;
  spec: Record<string, unknown>;
  status?: { conditions?: Condition[]; [more: string]: unknown };
}
