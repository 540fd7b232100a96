// Moments and spans in words. The API speaks RFC 3339 in UTC; people read their own zone, and the exact UTC on hover.

export type Moment = string | null | undefined;

/** Milliseconds since the epoch; null where there is none or it is no time. */
export function millis(moment: Moment): number | null {
  if (!moment) return null;
  const value = Date.parse(moment);
  return Number.isNaN(value) ? null : value;
}

/** A span as a person says it: "840 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function span(ms: number): string {
  const size = Math.abs(ms);
  if (size < 1) return "0 ms";
  if (size < 1000) return `${Math.round(size)} ms`;
  if (size < 9950) return `${(size / 1000).toFixed(1)} s`;
  const seconds = Math.round(size / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return join(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return join(hours, "h", minutes % 60, "min");
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** The same of seconds; a dash for what is not known. */
export function spanOf(seconds: number | null | undefined): string {
  return seconds === null || seconds === undefined ? "–" : span(seconds * 1000);
}

function join(large: number, unit: string, small: number, part: string): string {
  return small ? `${large} ${unit} ${small} ${part}` : `${large} ${unit}`;
}

/** How far away, in one unit: "now", "12 s ago", "in 3 min". */
export function away(moment: number, now: number): string {
  const size = Math.abs(moment - now);
  if (size < 1500) return "now";
  const text = oneUnit(size);
  return moment < now ? `${text} ago` : `in ${text}`;
}

function oneUnit(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

/** The exact moment in UTC, to the millisecond. */
export function utc(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** The viewer's own clock: the time alone today, with the day otherwise. `zone` names an IANA zone, "" the browser's. */
export function local(ms: number, now: number, zone = ""): string {
  const place = zone ? { timeZone: zone } : {};
  const day = (at: number) => new Intl.DateTimeFormat("en-CA", { dateStyle: "short", ...place }).format(at);
  const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", ...place }).format(ms);
  if (day(ms) === day(now)) return time;
  return `${day(ms)} ${time}`;
}
