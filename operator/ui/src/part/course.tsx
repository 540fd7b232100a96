// The picture of a job's course: when it waited, when it ran, how each attempt ended.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Transition } from "../api/type";
import { type Bar, extentOf, lanesOf, ticks } from "../course";
import { now } from "../store/clock";
import { span } from "../time";
import { type Tone, toneOf } from "./state";

const LANE = 30;
const HEAD = 22;
const NAMES = 92;

function lookOf(bar: Bar): Tone {
  if (bar.state !== "running" && bar.state !== "cancelling") return toneOf(bar.state);
  if (bar.then === "succeeded") return "good";
  if (bar.then === "failed" || bar.then === "retrying") return "bad";
  if (bar.then === "cancelled") return "calm";
  return "run";
}

function wordOf(bar: Bar): string {
  const how = bar.open ? "so far" : bar.then ? `then ${bar.then}` : "";
  return `${bar.state} for ${span(bar.to - bar.from)} ${how}${bar.worker && bar.state === "running" ? ` on ${bar.worker}` : ""}`;
}

export function Course({ history }: { history: Transition[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(700);
  useLayoutEffect(() => {
    const found = box.current;
    if (!found) return;
    const resize = new ResizeObserver(() => setWidth(Math.max(260, found.clientWidth)));
    resize.observe(found);
    return () => resize.disconnect();
  }, []);
  const last = history.at(-1);
  const open = last && !["succeeded", "failed", "cancelled", "skipped", "discarded"].includes(last.state);
  const lanes = lanesOf(history, open ? now.value : 0);
  const [from, to] = extentOf(lanes);
  const room = width - NAMES - 10;
  const x = (at: number) => NAMES + ((at - from) / (to - from)) * room;
  const several = lanes.some((lane) => lane.enqueueing > 1);
  const words = lanes.map((lane) => `attempt ${lane.attempt}: ${lane.bars.map(wordOf).join(", ")}`).join("; ");
  return (
    <div ref={box}>
      <svg class="course" height={HEAD + lanes.length * LANE} role="img" aria-label={`Course of the job: ${words}`}>
        {ticks(to - from, Math.max(2, Math.floor(room / 90))).map((at) => (
          <g key={at} aria-hidden="true">
            <line class="rule" x1={x(from + at)} x2={x(from + at)} y1={HEAD - 4} y2={HEAD + lanes.length * LANE} />
            <text x={x(from + at)} y={12} text-anchor={at === 0 ? "start" : "middle"}>
              {at === 0 ? "0" : span(at)}
            </text>
          </g>
        ))}
        {lanes.map((lane, index) => (
          <g key={`${lane.enqueueing}.${lane.attempt}`} aria-hidden="true">
            <text class="name" x={0} y={HEAD + index * LANE + 19}>
              {several && lane.begins && lane.enqueueing > 1 ? "↻ " : ""}
              attempt {lane.attempt}
            </text>
            {lane.bars.map((bar) => {
              const runs = bar.state === "running" || bar.state === "cancelling";
              return (
                <rect
                  key={bar.from}
                  class={`bar tone-${lookOf(bar)}`}
                  x={x(bar.from)}
                  y={HEAD + index * LANE + (runs ? 6 : 12)}
                  width={Math.max(runs ? 3 : 1, x(bar.to) - x(bar.from))}
                  height={runs ? 18 : 6}
                  opacity={runs ? 1 : 0.55}
                >
                  <title>{wordOf(bar)}</title>
                </rect>
              );
            })}
          </g>
        ))}
      </svg>
    </div>
  );
}
