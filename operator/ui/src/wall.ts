// What the clock on the wall says in a zone. Pure.

export interface Wall {
  /** "Mon 30 Nov" */
  day: string;
  /** "2026" */
  year: string;
  /** "02:30:00" */
  time: string;
  /** "+01:00" */
  offset: string;
}

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** `zone` "" is the browser's own; one that the browser does not know is read as UTC. */
export function wallOf(ms: number, zone: string): Wall {
  const place = zone ? { timeZone: isZone(zone) ? zone : "UTC" } : {};
  const format = new Intl.DateTimeFormat("en-GB", {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "longOffset",
    ...place,
  });
  const parts = new Map(format.formatToParts(ms).map((part) => [part.type, part.value]));
  const offset = (parts.get("timeZoneName") ?? "").replace("GMT", "") || "+00:00";
  return {
    day: `${parts.get("weekday")} ${parts.get("day")} ${parts.get("month")}`,
    year: parts.get("year") ?? "",
    time: `${parts.get("hour")}:${parts.get("minute")}:${parts.get("second")}`,
    offset,
  };
}
