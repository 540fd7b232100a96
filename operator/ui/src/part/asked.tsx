// What was asked for, and what stands in its place: while it comes, where it cannot be had, where there is nothing.

import type { ComponentChildren } from "preact";
import { isGone } from "../api/client";
import type { Loaded } from "../load";
import { Broken, Empty, Waiting } from "./empty";

interface ListProps<T> {
  of: Pick<Loaded<T[]>, "data" | "error" | "reload">;
  /** Where there is nothing. */
  empty: ComponentChildren;
  children: (items: T[]) => ComponentChildren;
}

/** A list in a sheet; the last answer stays while a new one cannot be had. */
export function List<T>({ of: { data, error, reload }, empty, children }: ListProps<T>) {
  if (data) return <>{data.length ? children(data) : empty}</>;
  if (error) return <div class="inner"><Broken error={error} again={reload} /></div>;
  return <Waiting />;
}

interface WholeProps<T> {
  of: Pick<Loaded<T>, "data" | "error" | "reload">;
  name: string;
  /** What is said where there is no such thing (any more). */
  gone: string;
  /** And where to go on from there. */
  instead: ComponentChildren;
  children: (found: T) => ComponentChildren;
}

/** One object that is all of a page. */
export function Whole<T>({ of: { data, error, reload }, name, gone, instead, children }: WholeProps<T>) {
  if (data) return <>{children(data)}</>;
  if (error && isGone(error)) return <Empty page icon="search" title={gone}>{instead}</Empty>;
  if (error) return <><h1 class="unseen">{name}</h1><Broken error={error} again={reload} /></>;
  return <section class="sheet"><h1 class="unseen">{name}</h1><Waiting lines={8} /></section>;
}

/** A column's head; one that ends with `>` stands at the right, as numbers do. */
export type Head = string;

interface TableProps {
  label: string;
  heads: Head[];
  children: ComponentChildren;
  /** Only some rows of it are seen at once. */
  some?: boolean;
}

/** A table that is moved sideways where it has no room, by the keyboard too. */
export function Table({ label, heads, children, some = false }: TableProps) {
  return (
    <div class={some ? "scroll-x some" : "scroll-x"} tabIndex={0} role="region" aria-label={label}>
      <table class="table">
        <thead>
          <tr>{heads.map((head) => <Column key={head} head={head} />)}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function Column({ head }: { head: Head }) {
  return head.endsWith(">") ? <th scope="col" class="right">{head.slice(0, -1)}</th> : <th scope="col">{head}</th>;
}
