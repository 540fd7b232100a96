// The gateway's routes of schedules.

import { ask } from "./client";
import type { Time } from "./type";

export interface Occurrence {
  time: Time;
  /** What the clock on the wall shows in the schedule's zone, with its offset. */
  local: string;
  /** What a shift of the clocks does to it; "" if none does. */
  note?: string;
}

export async function listNext(name: string, namespace: string, count: number, signal?: AbortSignal): Promise<Occurrence[]> {
  return (await ask<{ items: Occurrence[] }>(`schedules/${name}/next`, { params: { namespace, count }, signal })).body.items;
}

export interface Calendar {
  schedule?: string;
  every?: string;
  timeZone: string;
}

/** When an expression fires, whether or not it is declared. */
export async function previewCalendar(calendar: Calendar, count: number, signal?: AbortSignal): Promise<Occurrence[]> {
  return (await ask<{ items: Occurrence[] }>("calendar", { params: { ...calendar, count }, signal })).body.items;
}

export async function triggerSchedule(name: string, namespace: string): Promise<string> {
  return (await ask<{ id: string }>(`schedules/${name}/trigger`, { method: "POST", params: { namespace }, body: {} })).body.id;
}

export async function setSuspended(name: string, namespace: string, suspended: boolean): Promise<void> {
  await ask(`schedules/${name}/${suspended ? "suspend" : "resume"}`, { method: "POST", params: { namespace } });
}
