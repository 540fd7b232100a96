// Dead letters: failed jobs that wait for a person, by what went wrong; a whole group is retried or given up at once.

import { useState } from "preact/hooks";
import { type Action, countActed, groupJobs } from "../api/gateway";
import type { Group, JobEvent } from "../api/type";
import { type Filter, filterParams, parseFilter, selectionOf } from "../filter";
import { useEvery, useLoad, useThrottle } from "../load";
import { List } from "../part/asked";
import { Confirm } from "../part/dialog";
import { Empty } from "../part/empty";
import { Icon } from "../part/icon";
import { Ago } from "../part/time";
import { href } from "../route";
import { actOnAll, allowed, explain } from "../store/act";
import { gaps, useLive } from "../store/live";
import { attempt } from "../store/notice";
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
  const loaded = useLoad(`${name}/${by}/${gaps.value}`, (signal) => groupJobs(name, by, FAILED, signal));
  const again = useThrottle(loaded.reload, 1500);
  useLive<JobEvent>("state:failed", { onItems: again, onGap: again });
  useLive<JobEvent>("state:discarded", { onItems: again, onGap: again });
  useEvery(again, 15_000);
  const all = loaded.data?.reduce((sum, group) => sum + group.count, 0) ?? 0;
  return (
    <>
      <div class="title">
        <h1>Dead letters</h1>
        <span class="soft number" role="status">{loaded.data ? count(all, "failed job") : ""}</span>
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
        <List
          of={loaded}
          empty={
            <Empty icon="check" title="Nothing has failed for good">
              <p>Jobs whose retries are spent stand here, whole, until somebody retries them or gives them up.</p>
            </Empty>
          }
        >
          {(groups) => (
            <ul class="attention">
              {groups.map((group) => <Row key={group.key} by={by} group={group} onDone={loaded.reload} />)}
            </ul>
          )}
        </List>
      </section>
    </>
  );
}

/** The filter that finds a group; null for those that have no name, which no filter does. */
function filterOf(by: By, key: string): Partial<Filter> | null {
  if (!key) return null;
  if (by === "error") return { state: ["failed"], errorGroup: key };
  return { state: ["failed"], [by]: [key] };
}

function Row({ by, group, onDone }: { by: By; group: Group; onDone: () => void }) {
  const [asked, setAsked] = useState<Action | null>(null);
  const [most, setMost] = useState(0);
  const filter = filterOf(by, group.key);
  const begin = (action: Action) =>
    void attempt(async () => {
      if (!filter) return;
      setMost(await countActed(action, selectionOf(filter), namespace.value));
      setAsked(action);
    });
  return (
    <li data-group={group.key}>
      <Icon name="dead" />
      <div class="grow">
        <div class="row wrap">
          <a class="mono" href={href("jobs", filter ? filterParams({ ...parseFilter(new URLSearchParams()), ...filter }) : FAILED)}>{group.key || "without a name"}</a>
          <span class="state" data-tone="bad">{whole(group.count)}</span>
          <span class="faint small">newest <Ago at={group.newest} /></span>
        </div>
        {group.example && <Example id={group.example} />}
      </div>
      <div class="row">
        <button type="button" class="button slim" disabled={!allowed("retry") || !filter} onClick={() => begin("retry")}>
          <Icon name="retry" />
          Retry {group.count === 1 ? "it" : "all"}
        </button>
        <button type="button" class="button slim danger" disabled={!allowed("discard") || !filter} onClick={() => begin("discard")}>
          <Icon name="discard" />
          Discard
        </button>
      </div>
      {asked && (
        <Confirm
          title={`${asked === "retry" ? "Retry" : "Discard"} ${count(most, "job")}?`}
          verb={asked === "retry" ? "Retry" : "Discard"}
          danger={asked === "discard"}
          word={asked === "discard" && most >= 10 ? String(most) : undefined}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            if (filter) await actOnAll(asked, selectionOf(filter), most);
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
