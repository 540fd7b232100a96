// The gateway's routes of Webhooks and their deliveries.

import { ask } from "./client";
import type { State, Time } from "./type";

export interface LastAttempt {
  id: string;
  time: Time;
  delivered: boolean;
  status?: number | null;
  error?: string | null;
}

/** How a Webhook's receiver fares. */
export interface Hook {
  name: string;
  events: string[];
  url: string;
  method: string;
  signed?: boolean;
  signature?: "standard" | "plain";
  suspended?: boolean;
  circuit?: "closed" | "open" | "half-open" | "disabled";
  disabled?: "gone" | "failing" | null;
  failingSince?: Time | null;
  delivered?: number;
  failed?: number;
  filterErrors?: number;
  last?: LastAttempt | null;
}

export interface DeliveryRow {
  id: string;
  state: State;
  reason?: string | null;
  eventType?: string | null;
  attempt: number;
  created: Time;
  updated: Time;
  due?: Time | null;
  error?: string | null;
}

export interface DeliveryAttempt {
  time: Time;
  method: string;
  url: string;
  requestHeaders: Record<string, string>;
  status?: number | null;
  latencySeconds: number;
  headers?: Record<string, string>;
  /** The first 4 KiB. */
  body?: string;
  truncated?: boolean;
  error?: string | null;
}

export interface Delivery {
  id: string;
  webhook: string;
  state: State;
  reason?: string | null;
  attempt: number;
  time: Time;
  due?: Time | null;
  eventId?: string | null;
  eventType?: string | null;
  eventSource?: string | null;
  eventSubject?: string | null;
  /** The event, byte for byte as it is sent and signed. */
  body?: string | null;
  attempts?: DeliveryAttempt[];
}

export interface Recovered {
  events: number;
  created: number;
  reopened: number;
  left: number;
}

export async function listHooks(namespace: string, signal?: AbortSignal): Promise<Hook[]> {
  return (await ask<{ items: Hook[] }>("webhooks", { params: { namespace }, signal })).body.items;
}

export async function getHook(name: string, namespace: string, signal?: AbortSignal): Promise<Hook> {
  return (await ask<Hook>(`webhooks/${name}`, { params: { namespace }, signal })).body;
}

export interface Deliveries {
  items: DeliveryRow[];
  nextCursor?: string | null;
}

export async function listDeliveries(
  name: string,
  params: { namespace: string; state?: string | undefined; limit: number; cursor?: string | undefined },
  signal?: AbortSignal,
): Promise<Deliveries> {
  return (await ask<Deliveries>(`webhooks/${name}/deliveries`, { params, signal })).body;
}

export async function getDelivery(name: string, id: string, namespace: string, signal?: AbortSignal): Promise<Delivery> {
  return (await ask<Delivery>(`webhooks/${name}/deliveries/${id}`, { params: { namespace }, signal })).body;
}

export async function redeliver(name: string, id: string, namespace: string): Promise<void> {
  await ask(`webhooks/${name}/deliveries/${id}/redeliver`, { method: "POST", params: { namespace } });
}

/** Gives the id of the delivery that is on its way. */
export async function sendTest(name: string, namespace: string): Promise<string> {
  return (await ask<{ id: string }>(`webhooks/${name}/test`, { method: "POST", params: { namespace } })).body.id;
}

export async function recover(name: string, namespace: string, span: { since: string; until?: string }): Promise<Recovered> {
  return (await ask<Recovered>(`webhooks/${name}/recover`, { method: "POST", params: { namespace }, body: span })).body;
}

export async function enable(name: string, namespace: string): Promise<void> {
  await ask(`webhooks/${name}/enable`, { method: "POST", params: { namespace } });
}
