// Asking the gateway: JSON in, JSON out, problems (RFC 9457) as errors. Everything below <base href>, nothing else.

export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  /** What to do about it. */
  cure?: string;
  instance?: string;
  errors?: { pointer?: string; parameter?: string; detail: string }[];
}

/** What the gateway refused, or could not do. `status` 0: it was not reached. */
export class ProblemError extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly cure: string;
  readonly type: string;
  readonly request: string;
  /** Seconds after which it may be tried again; null if nobody said. */
  readonly retryAfter: number | null;

  constructor(status: number, problem: Problem, request = "", retryAfter: number | null = null) {
    super(problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.title = problem.title ?? `HTTP ${status}`;
    this.detail = problem.detail ?? "";
    this.cure = problem.cure ?? "";
    this.retryAfter = retryAfter;
    this.type = problem.type ?? "about:blank";
    this.request = request;
  }
}

/** It is not there, or not for whoever asks. */
export function isGone(error: unknown): boolean {
  return error instanceof ProblemError && error.status === 404;
}

export interface Answer<T> {
  body: T;
  /** The ledger sequence that a change returned; 0 if it named none. */
  seq: number;
  /** How far the lists lag behind the ledger, in records; null if the answer does not say. */
  lag: number | null;
}

type Params = Record<string, string | number | boolean | null | undefined | string[]>;

export interface Call {
  method?: string;
  params?: Params | URLSearchParams | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Called with each 401: the session has ended. */
let onStranger: () => void = () => undefined;
export function whenStranger(callback: () => void): void {
  onStranger = callback;
}

export function address(path: string, params?: Params | URLSearchParams): string {
  const url = new URL(`api/v1/${path}`, document.baseURI);
  for (const [key, value] of entriesOf(params ?? {})) url.searchParams.append(key, value);
  return url.toString();
}

export function entriesOf(params: Params | URLSearchParams): [string, string][] {
  if (params instanceof URLSearchParams) return [...params.entries()];
  return Object.entries(params).flatMap(([key, value]): [string, string][] => {
    if (value === null || value === undefined || value === "") return [];
    if (Array.isArray(value)) return value.map((one) => [key, one]);
    return [[key, String(value)]];
  });
}

const SAFE = new Set(["GET", "HEAD"]);

export async function ask<T>(path: string, call: Call = {}): Promise<Answer<T>> {
  const method = call.method ?? "GET";
  const headers: Record<string, string> = { accept: "application/json", ...call.headers };
  if (call.body !== undefined) headers["content-type"] = "application/json";
  if (!SAFE.has(method)) {
    const token = readCookie(document.cookie, "csrf");
    if (token) headers["x-csrf-token"] = token;
  }
  let response: Response;
  try {
    response = await fetch(address(path, call.params), {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ProblemError(0, { title: "The gateway does not answer", detail: "It may be starting anew, or the network is down." });
  }
  const body = await readBody(response);
  if (!response.ok) {
    if (response.status === 401) onStranger();
    const problem = body && typeof body === "object" ? (body as Problem) : { title: `HTTP ${response.status}` };
    throw new ProblemError(response.status, problem, response.headers.get("x-request-id") ?? "", numberOf(response.headers.get("retry-after")));
  }
  return {
    body: body as T,
    seq: numberOf(response.headers.get("x-jetmill-seq")) ?? 0,
    lag: numberOf(response.headers.get("x-jetmill-lag")),
  };
}

async function readBody(response: Response): Promise<unknown> {
  if (response.status === 204) return null;
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    if (response.ok) throw new ProblemError(502, { title: "This is not the gateway", detail: "Something between answered in its place." });
    return null;
  }
}

function numberOf(text: string | null): number | null {
  if (text === null) return null;
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? null : value;
}

/** The cookie whose name ends so: with TLS it has a `__Host-` in front. */
export function readCookie(cookies: string, name: string): string | null {
  for (const part of cookies.split(/;\s*/)) {
    const [key, ...rest] = part.split("=");
    if (key && (key === name || key.endsWith(`-${name}`) || key.endsWith(`_${name}`))) return decodeURIComponent(rest.join("="));
  }
  return null;
}
