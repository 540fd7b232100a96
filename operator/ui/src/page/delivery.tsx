// One delivery: the event that was sent, each attempt with what was answered, and how to verify it.

import { useState } from "preact/hooks";
import { isGone } from "../api/client";
import type { JobEvent } from "../api/type";
import { type Delivery, type DeliveryAttempt, getDelivery, redeliver } from "../api/webhook";
import { useLoad, useThrottle } from "../load";
import { Copy, Json } from "../part/code";
import { Confirm } from "../part/dialog";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Fact } from "../part/piece";
import { Answered } from "../part/receiver";
import { StateBadge } from "../part/state";
import { Ago, Clock } from "../part/time";
import { Verification } from "../part/verification";
import { href } from "../route";
import { now } from "../store/clock";
import { useLive } from "../store/live";
import { attempt } from "../store/notice";
import { may, namespace } from "../store/session";
import { count, shell } from "../text";
import { millis, span } from "../time";

export function DeliveryPage({ name, id }: { name: string; id: string }) {
  const place = namespace.value;
  const { data, error, reload } = useLoad(`delivery/${place}/${id}`, (signal) => getDelivery(name, id, place, signal));
  const again = useThrottle(reload, 250);
  useLive<JobEvent>(`job:${id}`, { onItems: again, onGap: again });
  if (error && !data) {
    if (isGone(error)) {
      return (
        <Empty page icon="search" title="There is no such delivery here">
          <p><span class="mono">{id}</span> is none of {name}: it was never there, or it is so old that it was removed.</p>
          <a class="button" href={href(`webhooks/${name}`)}>To the deliveries</a>
        </Empty>
      );
    }
    return <><h1 class="unseen">Delivery</h1><Broken error={error} again={reload} /></>;
  }
  if (!data) return <section class="sheet"><h1 class="unseen">Delivery</h1><Waiting lines={8} /></section>;
  return <Whole delivery={data} onDone={reload} />;
}

function Whole({ delivery, onDone }: { delivery: Delivery; onDone: () => void }) {
  const attempts = delivery.attempts ?? [];
  const last = attempts.at(-1);
  const signature = last && "x-signature" in last.requestHeaders ? "plain" : "standard";
  const signed = !!last && ("x-signature" in last.requestHeaders || "webhook-signature" in last.requestHeaders);
  return (
    <>
      <nav class="trail" aria-label="Where this is">
        <a href={href("webhooks")}>Webhooks</a> / <a href={href(`webhooks/${delivery.webhook}`)}>{delivery.webhook}</a>
      </nav>
      <div class="title">
        <h1 class="break">{delivery.eventType ?? "Delivery"}</h1>
        <StateBadge state={delivery.state} reason={delivery.reason} />
        {delivery.reason && <span class="soft">{delivery.reason}</span>}
        <div class="end"><Redeliver delivery={delivery} onDone={onDone} /></div>
      </div>
      <div class="row wrap small">
        <span class="mono soft break">{delivery.id}</span>
        <Copy text={delivery.id} label="Copy the id" />
        <Copy text={`jetmill webhook deliveries ${shell(delivery.webhook)} --namespace ${shell(namespace.value)}`} label="Copy as a command">command</Copy>
      </div>
      <div class="grid lead">
        <div class="stack">
          <section class="sheet" aria-label="Attempts">
            <header>
              <h2>Attempts</h2>
              <span class="faint small">{attempts.length ? count(attempts.length, "request") : ""}</span>
            </header>
            {attempts.length ? (
              <ol class="tries">
                {attempts.map((one, index) => (
                  <Try key={one.time} attempt={one} number={index + 1} before={attempts[index - 1]} open={index === attempts.length - 1} />
                ))}
                <Coming delivery={delivery} />
              </ol>
            ) : (
              <p class="inner faint">{delivery.state === "running" ? "The first request is on its way." : "No request was sent yet."}</p>
            )}
          </section>
          {last && delivery.body && <Verification key={last.time} signed={signed} signature={signature} sent={{ headers: last.requestHeaders, body: delivery.body }} />}
        </div>
        <div class="stack">
          <Facts delivery={delivery} />
          <Body delivery={delivery} />
        </div>
      </div>
    </>
  );
}

function Redeliver({ delivery, onDone }: { delivery: Delivery; onDone: () => void }) {
  const [asked, setAsked] = useState(false);
  const allowed = may("create", "webhooks/redeliver");
  const open = ["queued", "running", "scheduled"].includes(delivery.state);
  const why = !allowed ? "You may not redeliver in this namespace" : open ? "It is being delivered still" : undefined;
  const send = async () => {
    await attempt(async () => {
      await redeliver(delivery.webhook, delivery.id, namespace.value);
      return "It is sent once more, under the same id";
    });
    onDone();
  };
  return (
    <>
      <a class="button" href={href(`jobs/${delivery.id}`)}>As a job</a>
      <button type="button" class="button first" disabled={!allowed || open} title={why} onClick={() => (delivery.state === "succeeded" ? setAsked(true) : void send())}>
        <Icon name="retry" />
        Redeliver
      </button>
      {asked && (
        <Confirm title="Send it once more?" verb="Redeliver" onClose={() => setAsked(false)} onConfirm={send}>
          <p>Its receiver took it already, and gets it again under the same id: a receiver that looks at <code>webhook-id</code> can tell.</p>
        </Confirm>
      )}
    </>
  );
}

interface TryProps {
  attempt: DeliveryAttempt;
  number: number;
  before: DeliveryAttempt | undefined;
  open: boolean;
}

/** 2xx alone is taken. */
function isTaken(one: DeliveryAttempt): boolean {
  return !one.error && typeof one.status === "number" && one.status >= 200 && one.status < 300;
}

function Try({ attempt: one, number, before, open }: TryProps) {
  const waited = before ? (millis(one.time) ?? 0) - (millis(before.time) ?? 0) - before.latencySeconds * 1000 : null;
  const taken = isTaken(one);
  return (
    <li data-taken={taken || undefined}>
      {waited !== null && <div class="waited small faint">waited {span(Math.max(0, waited))}</div>}
      <details open={open}>
        <summary>
          <span class="mark" data-tone={taken ? "good" : "bad"} />
          <b>Attempt {number}</b>
          <Answered status={one.status} delivered={taken} />
          <span class="soft small number" title="until the answer was read">{span(one.latencySeconds * 1000)}</span>
          <span class="end faint small"><Clock at={one.time} /></span>
          {one.error && <span class="bad-text small whole break">{one.error}</span>}
        </summary>
        <div class="tried">
          <div>
            <h3 class="soft">Request</h3>
            <p class="mono small break">{one.method} {one.url}</p>
            <Headers of={one.requestHeaders} />
          </div>
          <div>
            <h3 class="soft">Answer</h3>
            {one.status ? (
              <>
                <p class="mono small">{one.status}</p>
                <Headers of={one.headers ?? {}} />
                {one.body ? (
                  <>
                    <pre class="code" tabIndex={0} role="region" aria-label={`Answer to attempt ${number}`}>{one.body}</pre>
                    {one.truncated && <p class="small faint">The first 4 KiB: there was more.</p>}
                  </>
                ) : (
                  <p class="small faint">without a body</p>
                )}
              </>
            ) : (
              <p class="small faint">None came.</p>
            )}
          </div>
        </div>
      </details>
    </li>
  );
}

function Headers({ of }: { of: Record<string, string> }) {
  return (
    <dl class="headers">
      {Object.entries(of).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === "…" ? <span class="faint" title="Headers that the Webhook sets are not shown">hidden</span> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Coming({ delivery }: { delivery: Delivery }) {
  if (delivery.state === "running") return <li class="coming soft"><span class="mark" data-tone="run" /> A request is on its way.</li>;
  if (delivery.state === "queued") return <li class="coming soft"><span class="mark" /> It waits to be sent.</li>;
  if (delivery.state !== "retrying") return null;
  return (
    <li class="coming soft">
      <span class="mark" data-tone="warn" /> {delivery.due && Date.parse(delivery.due) > now.value ? <>Next attempt <Ago at={delivery.due} /></> : "The next attempt is due, and waits for its turn"}
    </li>
  );
}

function Facts({ delivery }: { delivery: Delivery }) {
  return (
    <section class="sheet">
      <header><h2>Event</h2></header>
      <div class="inner">
        <dl class="pairs">
          <Fact name="Type">{delivery.eventType && <a class="mono" href={href("events", new URLSearchParams({ type: delivery.eventType }))}>{delivery.eventType}</a>}</Fact>
          <Fact name="Id">{delivery.eventId && <span class="mono small">{delivery.eventId}</span>}</Fact>
          <Fact name="Source">{delivery.eventSource && <span class="mono small">{delivery.eventSource}</span>}</Fact>
          <Fact name="Subject">{delivery.eventSubject}</Fact>
          <Fact name="Since"><Ago at={delivery.time} /> <span class="faint small"><Clock at={delivery.time} /></span></Fact>
        </dl>
      </div>
    </section>
  );
}

function Body({ delivery }: { delivery: Delivery }) {
  if (!delivery.body) return null;
  let value: unknown;
  try {
    value = JSON.parse(delivery.body);
  } catch {
    value = delivery.body;
  }
  return (
    <section class="sheet">
      <header>
        <h2>Body</h2>
        <span class="faint small">laid out; the copy is byte for byte</span>
        <div class="end"><Copy text={delivery.body} label="Copy the body" /></div>
      </header>
      <div class="inner"><Json value={value} label="Body" /></div>
    </section>
  );
}
