// What a ScheduledJob's spec and status say, read once for both pages. Pure.

import type { Declaration } from "./api/gateway";
import type { State, Time } from "./api/type";

export interface LastRun {
  id: string;
  scheduleTime: Time;
  state: State;
  reason?: string;
}

export interface Schedule {
  name: string;
  job: string;
  /** "30 2 * * *", or "every 90s". */
  calendar: string;
  zone: string;
  suspended: boolean;
  nextRuns: Time[];
  lastRun: LastRun | null;
  lastTime: Time | null;
  /** Null: not said yet. */
  active: number | null;
  missed: number | null;
}

export function readSchedule(declared: Declaration): Schedule {
  const spec = declared.spec as { jobRef?: { name?: string }; schedule?: string; every?: string; timeZone?: string; suspend?: boolean };
  const status = (declared.status ?? {}) as { nextRuns?: Time[]; lastRun?: LastRun; lastScheduleTime?: Time; active?: number; missed?: number };
  return {
    name: declared.name,
    job: spec.jobRef?.name ?? "",
    calendar: spec.schedule ?? (spec.every ? `every ${spec.every}` : ""),
    zone: spec.timeZone ?? "UTC",
    suspended: spec.suspend === true,
    nextRuns: status.nextRuns ?? [],
    lastRun: status.lastRun ?? null,
    lastTime: status.lastScheduleTime ?? null,
    active: status.active ?? null,
    missed: status.missed ?? null,
  };
}

/** The next run that is still to come: a status may be a few seconds old. */
export function nextOf(schedule: Schedule, now: number): Time | null {
  if (schedule.suspended) return null;
  return schedule.nextRuns.find((time) => Date.parse(time) > now) ?? schedule.nextRuns.at(-1) ?? null;
}
