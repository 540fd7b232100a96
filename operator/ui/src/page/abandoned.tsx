// Events that a durable subscription gave up: with what went wrong, to be tried again or let go.

import { useState } from "preact/hooks";
import { type DeadEvent, listDead, resolveDead } from "../api/event";
import { useEvery, useLoad } from "../load";
import { Table } from "../part/asked";
import { Confirm } from "../part/dialog";
import { Icon } from "../part/icon";
import { Ago } from "../part/time";
import { href } from "../route";
import { attempt } from "../store/notice";
import { may, namespace } from "../store/session";
import { count } from "../text";

/** Nothing where there are none, or where they may not be seen. */
export function Abandoned() {
  const name = namespace.value;
  const { data, reload } = useLoad(may("list", "jobs/subscriptions") ? `dead-events/${name}` : null, (signal) => listDead(name, signal));
  useEvery(reload, 15_000);
  if (!data?.length) return null;
  return (
    <section class="sheet" aria-label="Events that subscriptions gave up">
      <header>
        <h2>Given up by subscriptions</h2>
        <span class="state" data-tone="bad">{count(data.length, "event")}</span>
      </header>
      <Table label="Table of events that were given up" heads={["Event", "Subscription", "Last error", "Attempts>", "Given up>", "What to do"]}>
        {data.map((one) => <Row key={`${one.subscription}/${one.seq}`} one={one} onDone={reload} />)}
      </Table>
    </section>
  );
}

function Row({ one, onDone }: { one: DeadEvent; onDone: () => void }) {
  const [asked, setAsked] = useState(false);
  const allowed = may("update", "jobs/subscriptions");
  const why = allowed ? undefined : "You may not change subscriptions in this namespace";
  const resolve = async (action: "retry" | "discard") => {
    await attempt(async () => {
      await resolveDead(one, action, namespace.value);
      return action === "retry" ? `${one.subscription} gets it once more` : "It is given up for good";
    });
    onDone();
  };
  const type = one.event?.type ?? "";
  return (
    <tr>
      <td>
        {type ? <a class="mono" href={href("events", new URLSearchParams({ type, text: one.event?.id ?? "" }))}>{type}</a> : <span class="faint">no CloudEvent</span>}
        {one.event?.subject && <div class="faint small">{one.event.subject}</div>}
      </td>
      <td>{one.subscription}</td>
      <td class="small soft message">{one.error.type}: {one.error.message}</td>
      <td class="right number">{one.attempts}</td>
      <td class="right nowrap"><Ago at={one.time} /></td>
      <td>
        <div class="row">
          <button type="button" class="button slim" disabled={!allowed} title={why} onClick={() => void resolve("retry")}><Icon name="retry" />Retry</button>
          <button type="button" class="button slim danger" disabled={!allowed} title={why} onClick={() => setAsked(true)}><Icon name="discard" />Discard</button>
        </div>
        {asked && (
          <Confirm title="Give it up for good?" verb="Discard" danger onClose={() => setAsked(false)} onConfirm={() => resolve("discard")}>
            <p><b>{one.subscription}</b> never gets this <span class="mono">{type || "event"}</span> any more. The event itself stays on the bus, for others and for reading.</p>
          </Confirm>
        )}
      </td>
    </tr>
  );
}
