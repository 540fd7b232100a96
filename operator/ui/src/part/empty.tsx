// What stands where there is nothing (yet), and where something went wrong: what it means and what to do next.

import type { ComponentChildren } from "preact";
import { ProblemError } from "../api/client";
import { reasonOf } from "../store/notice";
import { Icon, type IconName } from "./icon";

interface EmptyProps {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
  /** It is all that the page shows, so its title is the page's. */
  page?: boolean;
}

export function Empty({ icon, title, children, page = false }: EmptyProps) {
  return (
    <div class="empty">
      <Icon name={icon} />
      {page ? <h1>{title}</h1> : <strong>{title}</strong>}
      {children}
    </div>
  );
}

interface BrokenProps {
  error: unknown;
  again?: (() => void) | undefined;
  /** What `again` does. */
  verb?: string;
}

/** A request that failed: the reason, what can be done, and what to tell whoever runs the gateway. */
export function Broken({ error, again, verb = "Try again" }: BrokenProps) {
  const problem = error instanceof ProblemError ? error : null;
  return (
    <div class="notice" role="alert" data-tone={problem?.status === 403 ? "warn" : "bad"}>
      <Icon name={problem?.status === 403 ? "person" : "plug"} />
      <div class="grow">
        <strong>{problem?.title ?? "The gateway does not answer"}</strong>
        <p>{reasonOf(error)}</p>
        {problem?.cure && <p>{problem.cure}</p>}
        {problem?.request && <p class="small">Request {problem.request}</p>}
      </div>
      {again && (
        <button type="button" class="button slim" onClick={again}>
          {verb}
        </button>
      )}
    </div>
  );
}

export function Waiting({ lines = 4 }: { lines?: number }) {
  return (
    <div class="inner stack" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} class="ghost" style={{ width: `${88 - ((index * 17) % 40)}%` }} />
      ))}
    </div>
  );
}
