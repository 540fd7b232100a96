// A moment: how long ago, or the viewer's own clock; the exact UTC on hover.

import { now } from "../store/clock";
import { zone } from "../store/setting";
import { away, local, millis, type Moment, span, utc } from "../time";

export function Ago({ at }: { at: Moment }) {
  const ms = millis(at);
  if (ms === null) return <span class="faint">–</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={`${local(ms, 0, zone.value)}\n${utc(ms)}`}>
      {away(ms, now.value)}
    </time>
  );
}

export function Clock({ at }: { at: Moment }) {
  const ms = millis(at);
  if (ms === null) return <span class="faint">–</span>;
  return (
    <time class="number" dateTime={new Date(ms).toISOString()} title={utc(ms)}>
      {local(ms, now.value, zone.value)}
    </time>
  );
}

/** From one moment to another, or to now while there is no other. */
export function Span({ from, to }: { from: Moment; to?: Moment }) {
  const start = millis(from);
  if (start === null) return <span class="faint">–</span>;
  const end = millis(to ?? null);
  return <span class="number">{span(Math.max(0, (end ?? now.value) - start))}</span>;
}
