// Who looks, at which namespace, and what he may do there. The gateway decides each request by itself: what is known
// here only greys out buttons that would be refused.

import { computed, signal } from "@preact/signals";
import { ProblemError, whenStranger } from "../api/client";
import { type Access, askAccess, askServer, type Server } from "../api/gateway";
import { query, refine } from "../route";
import { live } from "./live";
import { lastNamespace } from "./setting";

export type Phase = "starting" | "stranger" | "in" | "broken";

export const phase = signal<Phase>("starting");
export const access = signal<Access | null>(null);
export const server = signal<Server | null>(null);
export const trouble = signal<unknown>(null);

/** The namespace in the address, else the last one, else the first that is served. */
export const namespace = computed(() => {
  const served = server.value?.namespaces ?? [];
  const named = query.value.get("namespace");
  if (named) return named;
  if (served.includes(lastNamespace.value)) return lastNamespace.value;
  return served[0] ?? "";
});

/** May he? What is not known counts as yes: the gateway says no in that case. */
export function may(verb: string, resource: string): boolean {
  return access.value?.rights.find((right) => right.verb === verb && right.resource === resource)?.allowed ?? true;
}

export async function startSession(): Promise<void> {
  whenStranger(() => {
    if (phase.value === "in") phase.value = "stranger";
  });
  try {
    server.value = await askServer();
    access.value = await askAccess(namespace.value);
    phase.value = "in";
    trouble.value = null;
    enter();
  } catch (error) {
    trouble.value = error;
    phase.value = error instanceof ProblemError && error.status === 401 ? "stranger" : "broken";
  }
}

function enter(): void {
  const name = namespace.value;
  lastNamespace.value = name;
  live.start(name);
}

export async function chooseNamespace(name: string): Promise<void> {
  lastNamespace.value = name;
  refine({ namespace: null });
  access.value = await askAccess(name).catch(() => access.peek());
  enter();
}
