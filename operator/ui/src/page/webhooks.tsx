// Webhooks: where events go, and how each receiver fares.

import { listDeclared } from "../api/declared";
import { listHooks } from "../api/webhook";
import { useEvery, useLoad } from "../load";
import { List, Table } from "../part/asked";
import { conditionOf } from "../part/condition";
import { Empty } from "../part/empty";
import { Meter } from "../part/meter";
import { Answered, Receiver } from "../part/receiver";
import { Ago, Span } from "../part/time";
import { href } from "../route";
import { namespace } from "../store/session";
import { count, whole } from "../text";
import { utc } from "../time";
import { joinWebhooks, successOf, waitingOf, type Webhook } from "../webhook";

/** Either side may be refused or away: the other is shown then. */
async function loadAll(name: string, signal: AbortSignal): Promise<Webhook[]> {
  const [declared, hooks] = await Promise.allSettled([listDeclared("webhooks", name, signal), listHooks(name, signal)]);
  if (declared.status === "rejected" && hooks.status === "rejected") throw declared.reason;
  return joinWebhooks(declared.status === "fulfilled" ? declared.value : [], hooks.status === "fulfilled" ? hooks.value : []);
}

export function Webhooks() {
  const name = namespace.value;
  const loaded = useLoad(`webhooks/${name}`, (signal) => loadAll(name, signal));
  useEvery(loaded.reload, 5000);
  return (
    <>
      <div class="title">
        <h1>Webhooks</h1>
        <span class="soft">{loaded.data?.length ? count(loaded.data.length, "Webhook") : ""}</span>
      </div>
      <section class="sheet" aria-label="Webhooks">
        <List
          of={loaded}
          empty={
            <Empty icon="send" title="No webhook is declared in this namespace">
              <p>A Webhook sends events to an address: signed, tried again for days, one receiver never in another's way.</p>
              <pre class="code" tabIndex={0}>{EXAMPLE}</pre>
            </Empty>
          }
        >
          {(items) => (
            <Table label="Table of Webhooks" heads={["Webhook", "Status", "Events", "Taken, 24 h", "Failing", "Waiting>", "Last attempt"]}>
              {items.map((webhook) => <Row key={webhook.name} webhook={webhook} />)}
            </Table>
          )}
        </List>
      </section>
    </>
  );
}

const EXAMPLE = `apiVersion: jetmill.dev/v1alpha1
kind: Webhook
metadata: {name: billing}
spec:
  events: [order.*, job.failed]
  url: https://billing.example.com/hooks
  secretRef: {name: billing-webhook, key: secret}`;

function Row({ webhook }: { webhook: Webhook }) {
  const ready = webhook.declared && conditionOf(webhook.declared, "Ready");
  const waiting = waitingOf(webhook);
  return (
    <tr>
      <td class="name-cell">
        <a href={href(`webhooks/${webhook.name}`)}><b>{webhook.name}</b></a>
        <div class="faint small mono cut" title={webhook.url}>{webhook.url}</div>
      </td>
      <td>
        <Receiver webhook={webhook} />
        {ready?.status === "False" && <div class="small soft message">{ready.message}</div>}
      </td>
      <td>
        <div class="row wrap">
          {webhook.events.slice(0, 4).map((event) => <span key={event} class="chip mono">{event}</span>)}
          {webhook.events.length > 4 && <span class="faint small">+{webhook.events.length - 4}</span>}
        </div>
      </td>
      <td style={{ minWidth: "120px" }}><Success webhook={webhook} /></td>
      <td class="small nowrap">{webhook.failingSince ? <span class="bad-text" title={utc(Date.parse(webhook.failingSince))}>for <Span from={webhook.failingSince} /></span> : <span class="faint">–</span>}</td>
      <td class="right number">{waiting === null ? "–" : whole(waiting)}</td>
      <td class="nowrap">
        {webhook.last ? (
          <>
            <Answered status={webhook.last.status} delivered={webhook.last.delivered} />
            <div class="faint small"><Ago at={webhook.last.time} /></div>
          </>
        ) : (
          <span class="faint">nothing yet</span>
        )}
      </td>
    </tr>
  );
}

function Success({ webhook }: { webhook: Webhook }) {
  const percent = successOf(webhook);
  if (percent === null) return <span class="faint">–</span>;
  const all = (webhook.delivered ?? 0) + (webhook.failed ?? 0);
  return (
    <>
      <div class="small number soft">
        <b class={percent < 90 ? "bad-text" : ""}>{percent} %</b> of {whole(all)}
      </div>
      <Meter part={webhook.delivered ?? 0} all={all} label={`Attempts that the receiver of ${webhook.name} took`} />
    </>
  );
}
