// Jobs, ScheduledJobs and Webhooks as they are declared.

import { ask } from "./client";
import type { Declaration } from "./gateway";

export type Plural = "jobs" | "scheduledjobs" | "webhooks";

export async function listDeclared(plural: Plural, namespace: string, signal?: AbortSignal): Promise<Declaration[]> {
  return (await ask<{ items: Declaration[] }>(`declarations/${plural}`, { params: { namespace }, signal })).body.items;
}

export async function getDeclared(plural: Plural, name: string, namespace: string, signal?: AbortSignal): Promise<Declaration> {
  return (await ask<Declaration>(`declarations/${plural}/${name}`, { params: { namespace }, signal })).body;
}
