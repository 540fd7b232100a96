// What a chart shows, and its legend; the chart itself is fetched when the first one is drawn, for its library is a third
// of all the script.

import { lazy } from "../lazy";
import type { Tone } from "./state";

export const Chart = lazy(() => import("./chart").then((module) => module.Chart));

export interface Line {
  label: string;
  tone: Tone | "accent";
  values: (number | null)[];
  /** Filled down to zero. */
  area?: boolean;
  /** Steps, for what stays until it changes. */
  stepped?: boolean;
}

export function Legend({ lines }: { lines: Pick<Line, "label" | "tone">[] }) {
  return (
    <div class="legend">
      {lines.map((line) => (
        <span key={line.label}>
          <i class="swatch" data-tone={line.tone} />
          {line.label}
        </span>
      ))}
    </div>
  );
}
