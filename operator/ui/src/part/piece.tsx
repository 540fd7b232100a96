// Pieces that the pages of what is declared share.

import type { ComponentChildren } from "preact";
import type { Declaration } from "../api/gateway";
import { href } from "../route";
import { Json } from "./code";

export function Trail({ to, name, children }: { to: string; name: string; children: ComponentChildren }) {
  return (
    <nav class="trail" aria-label="Where this is">
      <a href={href(to)}>{name}</a> / {children}
    </nav>
  );
}

interface FigureProps {
  name: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  tone?: "bad" | "warn" | undefined;
}

export function Figure({ name, value, note, tone }: FigureProps) {
  return (
    <div class="sheet tile" data-tone={tone}>
      <div class="name">{name}</div>
      <div class="value">{value}</div>
      <div class="note">{note ?? " "}</div>
    </div>
  );
}

export function Spec({ declared }: { declared: Declaration }) {
  return (
    <section class="sheet">
      <header><h2>Spec</h2><span class="faint small">generation {declared.generation ?? "–"}</span></header>
      <div class="inner"><Json value={declared.spec} label="Spec" /></div>
    </section>
  );
}

/** A pair of a list of facts; nothing where there is nothing to say. */
export function Fact({ name, children }: { name: string; children?: ComponentChildren }) {
  if (children === undefined || children === null || children === false || children === "") return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}
