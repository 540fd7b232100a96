// A table of which only the rows in sight are in the page: a hundred thousand rows cost what thirty do. A grid to
// screen readers, with its true number of rows; the arrow keys walk it.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const ROW = 40;
const SPARE = 8;

/** The first row to draw and the one after the last. */
export function sliceOf(top: number, height: number, rows: number): [number, number] {
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  return [first, Math.min(rows, Math.ceil((top + height) / ROW) + SPARE)];
}

export interface Column<T> {
  key: string;
  head: ComponentChildren;
  width: string;
  cell: (row: T) => ComponentChildren;
  sort?: "ascending" | "descending" | undefined;
  onSort?: (() => void) | undefined;
}

interface VirtualProps<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  idOf: (row: T) => string;
  selected?: Set<string> | undefined;
  fresh?: Set<string> | undefined;
  least?: string;
  /** Called when the end comes near. */
  onEnd?: (() => void) | undefined;
  onOpen?: ((row: T) => void) | undefined;
  onToggle?: ((row: T) => void) | undefined;
  onScroll?: ((top: number) => void) | undefined;
  foot?: ComponentChildren;
}

export function Virtual<T>(props: VirtualProps<T>) {
  const { columns, rows, idOf, onEnd } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [cursor, setCursor] = useState(-1);
  useLayoutEffect(() => {
    const found = box.current;
    if (!found) return;
    const measure = () => setView({ top: found.scrollTop, height: found.clientHeight });
    measure();
    const resize = new ResizeObserver(measure);
    resize.observe(found);
    return () => resize.disconnect();
  }, []);
  const [first, end] = sliceOf(view.top, view.height, rows.length);
  useEffect(() => {
    if (end >= rows.length - SPARE) onEnd?.();
  }, [end, rows.length, onEnd]);

  const move = (step: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, cursor + step));
    setCursor(next);
    const found = box.current;
    if (!found) return;
    const y = next * ROW;
    if (y < found.scrollTop) found.scrollTop = y;
    else if (y + ROW * 2 > found.scrollTop + found.clientHeight) found.scrollTop = y + ROW * 2 - found.clientHeight;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== box.current) return;
    const steps: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 12, PageUp: -12, Home: -rows.length, End: rows.length };
    const step = steps[event.key];
    const row = rows[cursor];
    if (step !== undefined) move(step);
    else if (event.key === "Enter" && row) props.onOpen?.(row);
    else if ((event.key === " " || event.key === "x") && row) props.onToggle?.(row);
    else return;
    event.preventDefault();
  };
  const style = { "--columns": columns.map((column) => column.width).join(" "), "--least": props.least ?? "720px" };
  const active = rows[cursor];
  return (
    <div
      ref={box}
      class="vt"
      role="grid"
      tabIndex={0}
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={active && cursor >= first && cursor < end ? `row-${idOf(active)}` : undefined}
      style={style}
      onScroll={(event) => {
        const { scrollTop, clientHeight } = event.currentTarget;
        setView({ top: scrollTop, height: clientHeight });
        props.onScroll?.(scrollTop);
      }}
      onKeyDown={onKeyDown}
    >
      <div class="vt-head" role="row" aria-rowindex={1}>
        {columns.map((column) => (
          <div key={column.key} role="columnheader" class="cut" aria-sort={column.onSort ? (column.sort ?? "none") : undefined}>
            {column.onSort ? (
              <button type="button" onClick={column.onSort}>
                {column.head}
                {column.sort === "descending" ? " ↓" : column.sort === "ascending" ? " ↑" : ""}
              </button>
            ) : (
              column.head
            )}
          </div>
        ))}
      </div>
      <div class="vt-body" role="rowgroup" style={{ height: `${rows.length * ROW}px` }}>
        {rows.slice(first, end).map((row, index) => {
          const id = idOf(row);
          return (
            <div
              key={id}
              id={`row-${id}`}
              role="row"
              class="vt-row"
              aria-rowindex={first + index + 2}
              aria-selected={props.selected ? props.selected.has(id) : undefined}
              data-fresh={props.fresh?.has(id) || undefined}
              data-cursor={first + index === cursor || undefined}
              style={{ transform: `translateY(${(first + index) * ROW}px)` }}
              onDblClick={() => props.onOpen?.(row)}
            >
              {columns.map((column) => (
                <div key={column.key} role="gridcell" class="cut">
                  {column.cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
      {props.foot && <div class="vt-foot">{props.foot}</div>}
    </div>
  );
}
