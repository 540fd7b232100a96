// Numbers and names in words.

/** 1,234 · 12.3k · 4.5M: three figures are enough at a glance. */
export function brief(value: number): string {
  if (value < 10_000) return new Intl.NumberFormat("en").format(Math.round(value));
  if (value < 1_000_000) return `${trim(value / 1000)}k`;
  return `${trim(value / 1_000_000)}M`;
}

function trim(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, "");
}

export function whole(value: number): string {
  return new Intl.NumberFormat("en").format(value);
}

/** Per second where that is a number, else per minute. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond >= 10) return `${brief(perSecond)}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`;
  return `${(perSecond * 60).toFixed(perSecond * 60 >= 10 ? 0 : 1)}/min`;
}

/** One unit for all of a chart: per second if its highest value is one, else per minute. */
export function rateFor(lines: { values: (number | null)[] }[]): (perSecond: number) => string {
  const most = Math.max(0, ...lines.flatMap((line) => line.values.map((value) => value ?? 0)));
  if (most >= 1) return (value) => `${value >= 10 ? brief(value) : Math.round(value * 100) / 100}/s`;
  return (value) => `${Math.round(value * 600) / 10}/min`;
}

export function percent(part: number, all: number): string {
  if (!all) return "–";
  const value = (part / all) * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)} %`;
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

/** One word with its count: "1 job", "3 jobs". */
export function count(number: number, word: string): string {
  return `${whole(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** The end of an id, enough to tell neighbours apart: UUIDv7 begins with the time, which neighbours share. */
export function short(id: string): string {
  return id.length > 13 ? `…${id.slice(-8)}` : id;
}

/** A text as one argument of a POSIX shell. */
export function shell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
