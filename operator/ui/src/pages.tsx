// Which page stands at which path. Each is fetched when it is first shown, or when somebody points at its link.

import type { ComponentType } from "preact";
import { lazy, type Lazy } from "./lazy";
import { Empty } from "./part/empty";
import { href, match, path } from "./route";
import { namespace } from "./store/session";

/** What stands for the names in a pattern is given to the page. */
type AnyPage = ComponentType<any>;

function page<K extends string>(load: () => Promise<Record<K, AnyPage>>, name: K): Lazy<object> {
  return lazy<object>(() => load().then((module) => module[name]), { page: true });
}

const PAGES: [string, Lazy<object>][] = [
  ["", page(() => import("./page/overview"), "Overview")],
  ["jobs", page(() => import("./page/jobs"), "Jobs")],
  ["jobs/:id", page(() => import("./page/job"), "JobPage")],
  ["declarations", page(() => import("./page/declaration"), "Declarations")],
  ["declarations/:name", page(() => import("./page/declaration"), "Declaration")],
  ["schedules", page(() => import("./page/schedules"), "Schedules")],
  ["schedules/:name", page(() => import("./page/schedule"), "SchedulePage")],
  ["events", page(() => import("./page/events"), "Events")],
  ["webhooks", page(() => import("./page/webhooks"), "Webhooks")],
  ["webhooks/:name", page(() => import("./page/webhook"), "WebhookPage")],
  ["webhooks/:name/:id", page(() => import("./page/delivery"), "DeliveryPage")],
  ["workers", page(() => import("./page/workers"), "Workers")],
  ["dead", page(() => import("./page/dead"), "DeadLetters")],
  ["settings", page(() => import("./page/settings"), "Settings")],
];

export function warm(at: string): void {
  PAGES.find(([pattern]) => pattern === at)?.[1].warm();
}

export function Page() {
  const at = path.value;
  for (const [pattern, Found] of PAGES) {
    const names = match(pattern, at);
    if (names) return <Found key={`${pattern}/${Object.values(names).join("/")}/${namespace.value}`} {...names} />;
  }
  return (
    <Empty page icon="search" title="There is no such page">
      <p>The address may be mistyped, or from another version.</p>
      <a class="button" href={href("")}>To the overview</a>
    </Empty>
  );
}
