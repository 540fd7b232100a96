// The gateway's routes of events; the stream tells them in the same shape.

import { ask } from "./client";
import type { Time } from "./type";

export interface CloudEvent {
  id?: string;
  source?: string;
  type?: string;
  subject?: string;
  time?: Time;
  user?: string;
  data?: unknown;
  [extension: string]: unknown;
}

export interface EventRow {
  /** Where it lies on the bus. */
  seq: number;
  /** When it was stored. */
  time: Time;
  type: string;
  /** Left out for what is no CloudEvent. */
  event?: CloudEvent | null;
}

export interface Events {
  items: EventRow[];
  /** Null: nothing more is kept. A page may be empty and go on. */
  nextCursor?: string | null;
}

export interface EventSearch {
  type: string;
  text: string;
  /** RFC 3339; "": as far back as events are kept. */
  since: string;
}

export async function listEvents(namespace: string, search: EventSearch, options: { limit: number; cursor?: string | undefined }, signal?: AbortSignal): Promise<Events> {
  const params = { namespace, type: search.type === "*" ? "" : search.type, text: search.text, since: search.since, ...options };
  return (await ask<Events>("events", { params, signal })).body;
}

export async function getEvent(seq: string, namespace: string, signal?: AbortSignal): Promise<EventRow> {
  return (await ask<EventRow>(`events/${seq}`, { params: { namespace }, signal })).body;
}

/** An event that a durable subscription gave up. */
export interface DeadEvent {
  subscription: string;
  seq: number;
  /** When it was given up. */
  time: Time;
  attempts: number;
  error: { type: string; message: string };
  event?: CloudEvent | null;
}

export async function listDead(namespace: string, signal?: AbortSignal): Promise<DeadEvent[]> {
  return (await ask<{ items?: DeadEvent[] }>("events/dead", { params: { namespace, limit: 200 }, signal })).body.items ?? [];
}

export async function resolveDead(one: DeadEvent, action: "retry" | "discard", namespace: string): Promise<void> {
  const { subscription, seq } = one;
  await ask("events/dead", { method: "POST", params: { namespace }, body: { subscription, seq, action } });
}
