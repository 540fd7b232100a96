// What the API speaks, as far as the page reads it. Times are RFC 3339 in UTC.

export type State =
  | "scheduled"
  | "queued"
  | "running"
  | "retrying"
  | "cancelling"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "skipped"
  | "discarded";

export type Time = string;

export interface ErrorInfo {
  type: string;
  message: string;
  traceback?: string | null;
}

/** A line of a list. */
export interface JobRow {
  id: string;
  namespace: string;
  job: string;
  state: State;
  reason?: string | null;
  enqueueing: number;
  attempt: number;
  crashes: number;
  priority?: string;
  user?: string | null;
  labels?: Record<string, string> | null;
  schedule?: string | null;
  due?: Time | null;
  worker?: string | null;
  created: Time;
  updated: Time;
  started?: Time | null;
  ended?: Time | null;
  error?: ErrorInfo | null;
  seq: number;
}

export interface Transition {
  state: State;
  reason?: string | null;
  enqueueing: number;
  attempt: number;
  crashes: number;
  time: Time;
  seq: number;
  by: string;
  worker?: string | null;
  due?: Time | null;
  error?: ErrorInfo | null;
}

/** One job whole. */
export interface Job {
  id: string;
  namespace: string;
  job: string;
  state: State;
  reason?: string | null;
  enqueueing: number;
  attempt: number;
  crashes: number;
  priority?: string;
  enqueued: Time;
  scheduledFor?: Time | null;
  started?: Time | null;
  finished?: Time | null;
  worker?: string | null;
  error?: ErrorInfo | null;
  maxRetries?: number | null;
  timeoutSeconds?: number | null;
  startBy?: Time | null;
  user?: string | null;
  trace?: string | null;
  labels?: Record<string, string>;
  concurrencyKey?: string | null;
  schedule?: string | null;
  history: Transition[];
}

/** What the stream says of a job. */
export interface JobEvent {
  id: string;
  job: string;
  state: State;
  reason?: string | null;
  enqueueing: number;
  attempt: number;
  crashes?: number;
  time: Time;
  seq: number;
  by: string;
  worker?: string | null;
  due?: Time | null;
  user?: string | null;
  labels?: Record<string, string> | null;
  error?: ErrorInfo | null;
}

export interface LogLine {
  seq: number;
  time: Time;
  level: string;
  message: string;
  attempt: number;
  fields: Record<string, unknown>;
}

export interface Progress {
  fraction?: number | null;
  message?: string | null;
  attempt?: number;
}

/** What the stream says of a log line or of progress. */
export interface Told {
  seq: number;
  time: Time;
  log?: Partial<LogLine> | null;
  progress?: Progress | null;
}

export interface Cause {
  code: string;
  text: string;
  cure?: string;
}

export interface Page<T> {
  items: T[];
  nextCursor?: string | null;
  seq?: number;
}

export interface Group {
  key: string;
  count: number;
  newest?: Time | null;
  example?: string | null;
}

export interface Bucket {
  time: Time;
  enqueued: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  retried: number;
  waitP50?: number | null;
  waitP99?: number | null;
  runP50?: number | null;
  runP99?: number | null;
}

export interface Queue {
  job: string;
  ready: number;
  inFlight: number;
  delayed: number;
  workers: number;
  slots: number;
  busy: number;
  suspended: boolean;
}

/** Seconds; half of them at most `p50`. */
export interface Latency {
  count: number;
  p50: number;
  p95: number;
  p99: number;
}

/** How the jobs of a Job get through; what is not known is left out. */
export interface Flow extends Queue {
  oldestSeconds?: number;
  wait?: Latency;
  run?: Latency;
}

export interface Worker {
  worker: string;
  jobs: string[];
  missing?: string[];
  slots: number;
  busy: number;
  host?: string;
  pid?: number;
  pod?: string;
  version?: string;
  started?: Time | null;
  draining?: boolean;
  stopping?: boolean;
  running?: string[];
}

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastTransitionTime?: Time;
}
