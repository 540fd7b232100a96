// Lines and areas over time by uPlot; colours come from the style sheet, so that it follows the theme. The same numbers
// stand in a table for those who do not see pictures.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { theme, zone } from "../store/setting";
import type { Line } from "./line";

interface ChartProps {
  label: string;
  /** Seconds since the epoch. */
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  height?: number;
  /** The shown part of time, seconds. */
  range?: [number, number];
  /** What is counted has no halves. */
  whole?: boolean;
}

export function Chart({ label, times, lines, format, height = 210, range, whole = false }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const hint = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ lines, times, format, range, whole });
  latest.current = { lines, times, format, range, whole };
  const shape = lines.map((line) => line.label + line.tone).join() + theme.value + document.documentElement.dataset["theme"] + zone.value;

  useEffect(() => {
    const box = frame.current;
    if (!box) return;
    const drawn = new uPlot(options(box, height, latest.current, () => latest.current, hint.current), data(latest.current), box);
    plot.current = drawn;
    const resize = new ResizeObserver(() => drawn.setSize({ width: box.clientWidth, height }));
    resize.observe(box);
    return () => {
      resize.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [shape, height]);

  useEffect(() => {
    plot.current?.setData(data({ lines, times }));
  }, [times, lines]);

  return (
    <div class="chart" aria-label={describe(label, lines, format)} role="img">
      <div ref={frame} aria-hidden="true" />
      <div ref={hint} class="hint" hidden />
    </div>
  );
}

function data(seen: Pick<Seen, "times" | "lines">): uPlot.AlignedData {
  return [seen.times, ...seen.lines.map((line) => line.values)] as uPlot.AlignedData;
}

/** What the picture says, in words: the last value of each line and its highest. */
export function describe(label: string, lines: Line[], format: (value: number) => string): string {
  const words = lines.map((line) => {
    const known = line.values.filter((value): value is number => value !== null);
    if (!known.length) return `${line.label}: nothing`;
    return `${line.label}: now ${format(known.at(-1) ?? 0)}, at most ${format(Math.max(...known))}`;
  });
  return `${label}. ${words.join("; ")}.`;
}

interface Seen {
  lines: Line[];
  times: number[];
  format: (value: number) => string;
  range?: [number, number] | undefined;
  whole: boolean;
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6];

function options(box: HTMLElement, height: number, first: Seen, seen: () => Seen, hint: HTMLElement | null): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${style.getPropertyValue("--font")}`;
  const axis = { stroke: color("faint"), font, ticks: { show: false }, grid: { stroke: color("line"), width: 1 } };
  const place = zone.value ? { timeZone: zone.value } : {};
  const clock = (at: number, seconds: boolean) =>
    new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), ...place }).format(at * 1000);
  return {
    width: box.clientWidth,
    height,
    padding: [10, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true, range: (_, low, high) => seen().range ?? [low, high] },
      y: { range: (_, _low, high) => [0, high > 0 ? high * 1.12 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, values: (_, splits) => splits.map((at) => clock(at, false)), space: 70, size: 28 },
      { ...axis, values: (_, splits) => splits.map((value) => seen().format(value)), size: 62, space: 36, ...(first.whole ? { incrs: WHOLE } : {}) },
    ],
    series: [
      {},
      ...first.lines.map((line): uPlot.Series => {
        const stroke = color(line.tone);
        return {
          label: line.label,
          stroke,
          width: 1.75,
          points: { show: false },
          ...(line.area ? { fill: `${stroke}2b` } : {}),
          ...(line.stepped && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
        };
      }),
    ],
    hooks: { setCursor: [(plot) => point(plot, seen(), hint, clock)] },
  };
}

/** The numbers beside the pointer. */
function point(plot: uPlot, seen: Seen, hint: HTMLElement | null, clock: (at: number, seconds: boolean) => string): void {
  if (!hint) return;
  const index = plot.cursor.idx;
  const left = plot.cursor.left ?? -1;
  if (index === null || index === undefined || left < 0) {
    hint.hidden = true;
    return;
  }
  const rows = seen.lines.map((line) => {
    const value = line.values[index];
    return `${line.label} ${value === null || value === undefined ? "–" : seen.format(value)}`;
  });
  hint.textContent = [clock(seen.times[index] ?? 0, true), ...rows].join("  ·  ");
  hint.hidden = false;
  const x = left + plot.bbox.left / devicePixelRatio;
  hint.style.left = `${Math.max(4, Math.min(x + 12, plot.width - hint.offsetWidth - 4))}px`;
  hint.style.top = "4px";
}
