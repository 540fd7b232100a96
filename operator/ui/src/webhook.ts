// A Webhook from its two sides: what is declared of it, and what the dispatchers saw of its receiver. Pure.

import type { Declaration } from "./api/gateway";
import type { Time } from "./api/type";
import type { Hook } from "./api/webhook";

export interface Webhook {
  name: string;
  url: string;
  method: string;
  events: string[];
  expression: string;
  signed: boolean;
  signature: "standard" | "plain";
  suspended: boolean;
  circuit: NonNullable<Hook["circuit"]> | null;
  disabled: Hook["disabled"];
  failingSince: Time | null;
  /** Attempts of the last 24 hours; null: nobody said. */
  delivered: number | null;
  failed: number | null;
  filterErrors: number;
  last: { time: Time; delivered: boolean; status?: number | null | undefined; error?: string | null | undefined; id?: string | undefined } | null;
  /** Deliveries that wait, that are being sent, that wait for their next attempt; null: nobody counted. */
  backlog: { ready: number; inFlight: number; delayed: number } | null;
  declared: Declaration | null;
}

interface Spec {
  url?: string;
  method?: string;
  events?: string[];
  filter?: { expression?: string };
  secretRef?: unknown;
  signature?: "standard" | "plain";
  suspend?: boolean;
}

interface Status {
  backlog?: Webhook["backlog"];
  attempts?: { delivered: number; failed: number };
  lastDelivery?: NonNullable<Webhook["last"]>;
  failingSince?: Time;
  filterErrors?: number;
}

/** The dispatchers know sooner than the status; the status knows what the dispatchers do not say. */
export function joinWebhook(declared: Declaration | null, hook: Hook | null): Webhook {
  const spec = (declared?.spec ?? {}) as Spec;
  const status = (declared?.status ?? {}) as Status;
  return {
    name: declared?.name ?? hook?.name ?? "",
    url: spec.url ?? hook?.url ?? "",
    method: spec.method ?? hook?.method ?? "POST",
    events: spec.events ?? hook?.events ?? [],
    expression: spec.filter?.expression ?? "",
    signed: declared ? spec.secretRef !== undefined : hook?.signed === true,
    signature: spec.signature ?? hook?.signature ?? "standard",
    suspended: declared ? spec.suspend === true : hook?.suspended === true,
    circuit: hook ? (hook.circuit ?? "closed") : null,
    disabled: hook?.disabled ?? null,
    failingSince: hook ? (hook.failingSince ?? null) : (status.failingSince ?? null),
    delivered: hook ? (hook.delivered ?? 0) : (status.attempts?.delivered ?? null),
    failed: hook ? (hook.failed ?? 0) : (status.attempts?.failed ?? null),
    filterErrors: hook?.filterErrors ?? status.filterErrors ?? 0,
    last: hook ? (hook.last ?? null) : (status.lastDelivery ?? null),
    backlog: status.backlog ?? null,
    declared,
  };
}

export function joinWebhooks(declared: Declaration[], hooks: Hook[]): Webhook[] {
  const seen = new Map(hooks.map((hook) => [hook.name, hook]));
  const found = declared.map((one) => joinWebhook(one, seen.get(one.name) ?? null));
  const named = new Set(declared.map((one) => one.name));
  return [...found, ...hooks.filter((hook) => !named.has(hook.name)).map((hook) => joinWebhook(null, hook))];
}

/** Whole per cent of the attempts that were taken; null without any. */
export function successOf(webhook: Pick<Webhook, "delivered" | "failed">): number | null {
  const all = (webhook.delivered ?? 0) + (webhook.failed ?? 0);
  return all ? Math.floor((100 * (webhook.delivered ?? 0)) / all) : null;
}

export function waitingOf(webhook: Webhook): number | null {
  const { backlog } = webhook;
  return backlog ? backlog.ready + backlog.inFlight + backlog.delayed : null;
}
