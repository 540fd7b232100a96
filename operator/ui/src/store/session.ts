// Who looks, at which namespace, and what he may do there. The gateway decides each request by itself: what is known
// here only greys out buttons that would be refused.

import { computed, signal } from "@preact/signals";
import { ProblemError, whenStranger } from "../api/client";
import { askMe, askPermissions, askServer, type Me, type Permissions, type Server } from "../api/gateway";
import { query, refine } from "../route";
import { live } from "./live";
import { lastNamespace } from "./setting";

export type Phase = "starting" | "stranger" | "in" | "broken";

export const phase = signal<Phase>("starting");
export const me = signal<Me | null>(null);
export const server = signal<Server | null>(null);
export const trouble = signal<unknown>(null);
const permissions = signal<Permissions | null>(null);

/** The namespace in the address, else the last one, else the first that is served. */
export const namespace = computed(() => {
  const served = server.value?.namespaces ?? [];
  const named = query.value.get("namespace");
  if (named) return named;
  if (served.includes(lastNamespace.value)) return lastNamespace.value;
  return served[0] ?? "";
});

/** May he? Unknown counts as yes: the gateway says no in that case. */
export function may(verb: string, resource: string): boolean {
  return permissions.value?.(verb, resource) ?? true;
}

export async function startSession(): Promise<void> {
  whenStranger(() => {
    if (phase.value === "in") phase.value = "stranger";
  });
  try {
    me.value = await askMe();
    server.value = await askServer();
    phase.value = "in";
    trouble.value = null;
    await enter();
  } catch (error) {
    trouble.value = error;
    phase.value = error instanceof ProblemError && error.status === 401 ? "stranger" : "broken";
  }
}

async function enter(): Promise<void> {
  const name = namespace.value;
  lastNamespace.value = name;
  live.start(name);
  permissions.value = await askPermissions(name).catch(() => null);
}

export function chooseNamespace(name: string): void {
  lastNamespace.value = name;
  refine({ namespace: null });
  void enter();
}
