// Dead letters: failed jobs that wait for a person, by what went wrong; a whole group is retried or given up at once.

import { useState } from "preact/hooks";
import { type Action, groupJobs, listJobs } from "../api/gateway";
import type { Group, JobEvent, JobRow } from "../api/type";
import { kindOf, textOf } from "../kind";
import { useEvery, useLoad, useThrottle } from "../load";
import { Confirm } from "../part/dialog";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Ago } from "../part/time";
import { href } from "../route";
import { actOnMany, allowed, explain } from "../store/act";
import { gaps, useLive } from "../store/live";
import { namespace } from "../store/session";
import { count, whole } from "../text";

const GROUPINGS = [
  ["error", "Error"],
  ["job", "Job"],
  ["reason", "Reason"],
] as const;
type By = (typeof GROUPINGS)[number][0];
const FAILED = new URLSearchParams({ state: "failed" });

export function DeadLetters() {
  const name = namespace.value;
  const [by, setBy] = useState<By>("error");
  const { data, error, reload } = useLoad(`${name}/${by}/${gaps.value}`, (signal) => groupJobs(name, by, FAILED, signal));
  const again = useThrottle(reload, 1500);
  useLive<JobEvent>("state:failed", { onItems: again, onGap: again });
  useLive<JobEvent>("state:discarded", { onItems: again, onGap: again });
  useEvery(again, 15_000);
  const all = data?.reduce((sum, group) => sum + group.count, 0) ?? 0;
  return (
    <>
      <div class="title">
        <h1>Dead letters</h1>
        <span class="soft number" role="status">{data ? count(all, "failed job") : ""}</span>
        <div class="end">
          <div class="segment" role="group" aria-label="Grouped by">
            {GROUPINGS.map(([value, text]) => (
              <button key={value} type="button" aria-pressed={by === value} onClick={() => setBy(value)}>
                {text}
              </button>
            ))}
          </div>
        </div>
      </div>
      <section class="sheet" aria-label="Groups of failed jobs">
        {error && !data ? (
          <div class="inner"><Broken error={error} again={reload} /></div>
        ) : !data ? (
          <Waiting />
        ) : !data.length ? (
          <Empty icon="check" title="Nothing has failed for good">
            <p>Jobs whose retries are spent stand here, whole, until somebody retries them or gives them up.</p>
          </Empty>
        ) : (
          <ul class="attention">
            {data.map((group) => (
              <Row key={group.key} by={by} group={group} onDone={reload} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
}

/** The filter that finds a group, and sometimes others beside it: see `kind.ts`. */
function paramsOf(by: By, key: string): URLSearchParams {
  const params = new URLSearchParams(FAILED);
  const value = by === "error" ? textOf(key) : key;
  if (value) params.set(by, value);
  return params;
}

function isOf(by: By, key: string, row: JobRow): boolean {
  if (by === "job") return row.job === key;
  if (by === "reason") return (row.reason ?? "") === key;
  return row.error ? kindOf(row.error) === key : key === "";
}

function Row({ by, group, onDone }: { by: By; group: Group; onDone: () => void }) {
  const [asked, setAsked] = useState<Action | null>(null);
  const params = paramsOf(by, group.key);
  return (
    <li data-group={group.key}>
      <Icon name="dead" />
      <div class="grow">
        <div class="row wrap">
          <a class="mono" href={href("jobs", params)}>{group.key || "without a name"}</a>
          <span class="state" data-tone="bad">{whole(group.count)}</span>
          <span class="faint small">newest <Ago at={group.newest} /></span>
        </div>
        {group.example && <Example id={group.example} />}
      </div>
      <div class="row">
        <button type="button" class="button slim" disabled={!allowed("retry")} onClick={() => setAsked("retry")}>
          <Icon name="retry" />
          Retry {group.count === 1 ? "it" : "all"}
        </button>
        <button type="button" class="button slim danger" disabled={!allowed("discard")} onClick={() => setAsked("discard")}>
          <Icon name="discard" />
          Discard
        </button>
      </div>
      {asked && (
        <Confirm
          title={`${asked === "retry" ? "Retry" : "Discard"} ${count(group.count, "job")}?`}
          verb={asked === "retry" ? "Retry" : "Discard"}
          danger={asked === "discard"}
          word={asked === "discard" && group.count >= 10 ? String(group.count) : undefined}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            await actOnMany(asked, await idsOf(by, group.key));
            onDone();
          }}
        >
          <p>All failed jobs with <b class="mono">{group.key}</b>.</p>
          <p>{explain(asked)}</p>
        </Confirm>
      )}
    </li>
  );
}

/** One of the group, for its message. */
function Example({ id }: { id: string }) {
  return <a class="small faint mono" href={href(`jobs/${id}`)}>for example {id}</a>;
}

async function idsOf(by: By, key: string): Promise<string[]> {
  const params = paramsOf(by, key);
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const wanted = new URLSearchParams(params);
    wanted.set("limit", "200");
    if (cursor) wanted.set("cursor", cursor);
    const { body }: { body: { items: JobRow[]; nextCursor?: string | null } } = await listJobs(namespace.value, wanted);
    ids.push(...body.items.filter((row) => isOf(by, key, row)).map((row) => row.id));
    cursor = body.nextCursor ?? null;
  } while (cursor);
  return ids;
}
