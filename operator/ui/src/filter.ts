// The filter of the list of jobs, as the address says it. The names are the API's own, so that a filter can be copied
// from one to the other.

import type { Selection } from "./api/gateway";
import type { JobRow, State } from "./api/type";
import { STATES } from "./part/state";

export interface Filter {
  job: string[];
  state: State[];
  reason: string[];
  label: string[];
  schedule: string;
  user: string;
  error: string;
  errorGroup: string;
  createdAfter: string;
  createdBefore: string;
  sort: string;
}

const TEXTS = ["schedule", "user", "error", "errorGroup", "createdAfter", "createdBefore"] as const;

export const SORTS: Record<string, string> = {
  "-created": "Newest first",
  created: "Oldest first",
  "-updated": "Last changed first",
};

export function parseFilter(params: URLSearchParams): Filter {
  const known = new Set<string>(STATES);
  return {
    job: params.getAll("job").filter(Boolean),
    state: params.getAll("state").filter((state): state is State => known.has(state)),
    reason: params.getAll("reason").filter(Boolean),
    label: params.getAll("label").filter((label) => label.includes("=")),
    schedule: params.get("schedule") ?? "",
    user: params.get("user") ?? "",
    error: params.get("error") ?? "",
    errorGroup: params.get("errorGroup") ?? "",
    createdAfter: params.get("createdAfter") ?? "",
    createdBefore: params.get("createdBefore") ?? "",
    sort: params.get("sort") ?? "-created",
  };
}

/** As a query, without what is as it is anyway. */
export function filterParams(filter: Filter): URLSearchParams {
  const params = new URLSearchParams();
  for (const name of ["job", "state", "reason", "label"] as const) {
    for (const value of filter[name]) params.append(name, value);
  }
  for (const name of TEXTS) {
    if (filter[name]) params.set(name, filter[name]);
  }
  if (filter.sort !== "-created") params.set("sort", filter.sort);
  return params;
}

/** As the body of an operation has it. */
export function selectionOf(filter: Partial<Filter>): Selection {
  const selection: Selection = {};
  for (const name of ["job", "state", "reason"] as const) {
    if (filter[name]?.length) selection[name] = filter[name];
  }
  if (filter.label?.length) selection["label"] = Object.fromEntries(filter.label.map((label) => [label.slice(0, label.indexOf("=")), label.slice(label.indexOf("=") + 1)]));
  for (const name of TEXTS) {
    if (filter[name]) selection[name] = filter[name];
  }
  return selection;
}

export function isEmpty(filter: Filter): boolean {
  return filterParams({ ...filter, sort: "-created" }).size === 0;
}

/** "1h", "30min", "7d" before now, as a moment; anything else is left as it is. */
export function momentOf(text: string, now: number): string {
  const found = /^(\d+)\s*(min|h|d)$/.exec(text.trim());
  if (!found) return text;
  const unit = { min: 60_000, h: 3_600_000, d: 86_400_000 }[found[2] as "min" | "h" | "d"];
  return new Date(now - Number(found[1]) * unit).toISOString();
}

/**
 * What was typed into the one search field, as a change of the filter: `state:failed job:send-email label:tenant=acme
 * user:ada error:timeout since:1h`; words without a name look into errors.
 */
export function parseWords(text: string, before: Filter): Filter {
  const filter: Filter = { ...before, job: [...before.job], state: [...before.state], reason: [...before.reason], label: [...before.label] };
  const rest: string[] = [];
  const add = (list: string[], value: string) => {
    if (!list.includes(value)) list.push(value);
  };
  for (const word of text.match(/\S+:"[^"]*"|\S+/g) ?? []) {
    const colon = word.indexOf(":");
    const name = colon > 0 ? word.slice(0, colon) : "";
    const value = word.slice(colon + 1).replaceAll('"', "");
    if (name === "job" && value) add(filter.job, value);
    else if (name === "state" && (STATES as string[]).includes(value)) add(filter.state as string[], value);
    else if (name === "reason" && value) add(filter.reason, value);
    else if (name === "label" && value.includes("=")) add(filter.label, value);
    else if (name === "schedule" && value) filter.schedule = value;
    else if (name === "user" && value) filter.user = value;
    else if (name === "error" && value) filter.error = value;
    else if (name === "since" && value) filter.createdAfter = value;
    else rest.push(word);
  }
  if (rest.length) filter.error = rest.join(" ");
  return filter;
}

/** Whether a job that changed may belong to a list: only what an event tells is judged, the gateway has the last word. */
export function mayMatch(filter: Filter, job: Pick<JobRow, "job" | "state"> & { user?: string | null | undefined }): boolean {
  if (filter.job.length && !filter.job.includes(job.job)) return false;
  return !filter.state.length || filter.state.includes(job.state);
}
