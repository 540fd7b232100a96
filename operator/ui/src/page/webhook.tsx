// One webhook: how its receiver fares, what was sent to it, and what one can do about it.

import { useEffect, useState } from "preact/hooks";
import { isGone } from "../api/client";
import { getDeclared } from "../api/declared";
import type { JobEvent } from "../api/type";
import { type DeliveryRow, enable, getHook, listDeliveries, recover, sendTest } from "../api/webhook";
import { useEvery, useLoad, useThrottle } from "../load";
import { Table, Whole } from "../part/asked";
import { Copy } from "../part/code";
import { conditionOf, Conditions } from "../part/condition";
import { Confirm, Dialog } from "../part/dialog";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Fact, Figure, Spec, Trail } from "../part/piece";
import { Answered, Receiver } from "../part/receiver";
import { Verification } from "../part/verification";
import { StateBadge } from "../part/state";
import { Ago, Clock, Span } from "../part/time";
import { go, href, query, refine } from "../route";
import { now } from "../store/clock";
import { useLive } from "../store/live";
import { attempt } from "../store/notice";
import { may, namespace } from "../store/session";
import { count, shell, short, whole } from "../text";
import { joinWebhook, successOf, waitingOf, type Webhook } from "../webhook";

async function loadOne(name: string, place: string, signal: AbortSignal): Promise<Webhook> {
  const [declared, hook] = await Promise.allSettled([getDeclared("webhooks", name, place, signal), getHook(name, place, signal)]);
  if (declared.status === "rejected" && (hook.status === "rejected" || !isGone(declared.reason))) {
    if (hook.status === "rejected") throw declared.reason;
  }
  return joinWebhook(declared.status === "fulfilled" ? declared.value : null, hook.status === "fulfilled" ? hook.value : null);
}

export function WebhookPage({ name }: { name: string }) {
  const place = namespace.value;
  const loaded = useLoad(`webhook/${place}/${name}`, (signal) => loadOne(name, place, signal));
  useEvery(loaded.reload, 5000);
  const instead = (
    <>
      <p>It may have been deleted; its deliveries went with it.</p>
      <a class="button" href={href("webhooks")}>To the webhooks</a>
    </>
  );
  return (
    <Whole of={loaded} name={name} gone={`No Webhook ${name} is declared in ${place}`} instead={instead}>
      {(webhook) => <Sending webhook={webhook} onDone={loaded.reload} />}
    </Whole>
  );
}

function Sending({ webhook, onDone }: { webhook: Webhook; onDone: () => void }) {
  const percent = successOf(webhook);
  const waiting = waitingOf(webhook);
  const last = webhook.last;
  return (
    <>
      <Trail to="webhooks" name="Webhooks">{webhook.name}</Trail>
      <div class="title">
        <h1>{webhook.name}</h1>
        <Receiver webhook={webhook} />
        <div class="end"><Actions webhook={webhook} onDone={onDone} /></div>
      </div>
      <div class="row wrap small">
        <code class="soft break">{webhook.method} {webhook.url}</code>
        <Copy text={webhook.url} label="Copy the address" />
        <Copy text={`kubectl get webhook.jetmill.dev ${shell(webhook.name)} --namespace ${shell(namespace.value)} --output yaml`} label="Copy as a command">kubectl</Copy>
      </div>
      <Trouble webhook={webhook} onDone={onDone} />
      <div class="tiles">
        <Figure
          name="Taken, last 24 h"
          value={percent === null ? "–" : `${percent} %`}
          note={percent === null ? "no attempt" : `${whole(webhook.delivered ?? 0)} of ${count((webhook.delivered ?? 0) + (webhook.failed ?? 0), "attempt")}`}
          tone={percent !== null && percent < 90 ? "bad" : undefined}
        />
        <Figure name="Waiting" value={waiting === null ? "–" : whole(waiting)} note={webhook.backlog ? `${whole(webhook.backlog.delayed)} for a later attempt` : "not counted yet"} />
        <Figure name="Failing" value={webhook.failingSince ? <Span from={webhook.failingSince} /> : "no"} note={webhook.failingSince ? <>since <Clock at={webhook.failingSince} /></> : "the last attempt was taken, or there is none"} tone={webhook.failingSince ? "bad" : undefined} />
        <Figure name="Last attempt" value={last ? <Answered status={last.status} delivered={last.delivered} /> : "–"} note={last ? <Ago at={last.time} /> : "nothing was sent yet"} />
      </div>
      <div class="grid lead">
        <Deliveries webhook={webhook} />
        <div class="stack">
          <Facts webhook={webhook} />
          <Verification signed={webhook.signed} signature={webhook.signature} />
        </div>
      </div>
      <Conditions conditions={webhook.declared?.status?.conditions ?? []} />
      {webhook.declared && <Spec declared={webhook.declared} />}
    </>
  );
}

/** What keeps it from being sent to, and the way out. */
function Trouble({ webhook, onDone }: { webhook: Webhook; onDone: () => void }) {
  const ready = webhook.declared && conditionOf(webhook.declared, "Ready");
  const degraded = webhook.declared && conditionOf(webhook.declared, "Degraded");
  const disabled = webhook.circuit === "disabled";
  const stopped = disabled || webhook.circuit === "open" || webhook.circuit === "half-open";
  const said = ready?.status === "False" ? ready : degraded?.status === "True" ? degraded : null;
  if (!said && !stopped) return null;
  const allowed = may("create", "webhooks/enable");
  const text = disabled
    ? webhook.disabled === "gone"
      ? "Its receiver answered 410: it wants nothing more."
      : "Nothing but failures came for days, so nothing is sent any more."
    : "Its receiver failed too often. What comes waits; one request at a time tries whether it is back.";
  return (
    <div class="notice" data-tone={disabled || ready?.status === "False" ? "bad" : "warn"} role="alert">
      <Icon name={disabled ? "cancel" : "pause"} />
      <div class="grow">
        <strong>{disabled ? "Disabled" : (said?.reason ?? "Paused")}</strong>
        <p>{said?.message ?? text}</p>
        {webhook.last?.error && <p class="small">Last attempt: {webhook.last.error}</p>}
      </div>
      {stopped && (
        <button
          type="button"
          class="button slim"
          disabled={!allowed}
          title={allowed ? undefined : "You may not enable webhooks in this namespace"}
          onClick={async () => {
            await attempt(async () => {
              await enable(webhook.name, namespace.value);
              return "It is sent to again";
            });
            onDone();
          }}
        >
          {disabled ? "Enable" : "Send now"}
        </button>
      )}
    </div>
  );
}

function Actions({ webhook, onDone }: { webhook: Webhook; onDone: () => void }) {
  const [asked, setAsked] = useState<"test" | "recover" | null>(null);
  const mayTest = may("create", "webhooks/test");
  const mayRecover = may("create", "webhooks/recover");
  return (
    <>
      <button type="button" class="button" disabled={!mayRecover} title={mayRecover ? undefined : "You may not recover webhooks in this namespace"} onClick={() => setAsked("recover")}>
        <Icon name="retry" />
        Recover
      </button>
      <button type="button" class="button first" disabled={!mayTest} title={mayTest ? undefined : "You may not test webhooks in this namespace"} onClick={() => setAsked("test")}>
        <Icon name="send" />
        Send a test
      </button>
      {asked === "test" && (
        <Confirm
          title={`Send a test event to ${webhook.name}?`}
          verb="Send"
          onClose={() => setAsked(null)}
          onConfirm={() =>
            attempt(async () => {
              const id = await sendTest(webhook.name, namespace.value);
              go(`webhooks/${webhook.name}/${id}`);
              return "The test event is on its way";
            })
          }
        >
          <p>An event of type <code>webhook.test</code> goes to <span class="mono break">{webhook.url}</span>, and to nobody else, signed and tried again as any other.</p>
        </Confirm>
      )}
      {asked === "recover" && <Recovery webhook={webhook} onClose={() => setAsked(null)} onDone={onDone} />}
    </>
  );
}

const SPANS: [string, string, number][] = [
  ["1h", "the last hour", 3_600_000],
  ["6h", "the last 6 hours", 21_600_000],
  ["24h", "the last 24 hours", 86_400_000],
  ["7d", "the last 7 days", 604_800_000],
];

function Recovery({ webhook, onClose, onDone }: { webhook: Webhook; onClose: () => void; onDone: () => void }) {
  const failing = webhook.failingSince;
  const [which, setWhich] = useState(failing ? "failing" : "1h");
  const [from, setFrom] = useState("");
  const [until, setUntil] = useState("");
  const [busy, setBusy] = useState(false);
  const begins = which === "own" ? Date.parse(from) : which === "failing" ? Date.parse(failing ?? "") : Date.now() - (SPANS.find(([key]) => key === which)?.[2] ?? 0);
  const ends = which === "own" && until ? Date.parse(until) : null;
  const ready = !busy && !Number.isNaN(begins) && (ends === null || ends > begins);
  return (
    <Dialog label={`Recover ${webhook.name}`} onClose={onClose}>
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          if (!ready) return;
          setBusy(true);
          await attempt(async () => {
            const span = { since: new Date(begins).toISOString(), ...(ends === null ? {} : { until: new Date(ends).toISOString() }) };
            const found = await recover(webhook.name, namespace.value, span);
            return `Of ${count(found.events, "event")}: ${whole(found.created)} new, ${whole(found.reopened)} sent again, ${whole(found.left)} left as they are`;
          });
          onDone();
          onClose();
        }}
      >
        <h2>Recover {webhook.name}</h2>
        <div class="soft stack">
          <p>Events of a stretch of time that have no delivery get one, and deliveries that failed are sent again. What was delivered is not sent twice.</p>
        </div>
        <label class="field">
          <span>Which events</span>
          <select value={which} onChange={(event) => setWhich(event.currentTarget.value)}>
            {failing && <option value="failing">since it began to fail</option>}
            {SPANS.map(([key, text]) => <option key={key} value={key}>of {text}</option>)}
            <option value="own">between two times</option>
          </select>
        </label>
        {which === "own" && (
          <div class="row wrap">
            <label class="field grow">
              <span>From, by this browser's clock</span>
              <input type="datetime-local" step="1" required value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
            </label>
            <label class="field grow">
              <span>Until (empty: now)</span>
              <input type="datetime-local" step="1" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
            </label>
          </div>
        )}
        <div class="buttons">
          <button type="button" class="button" onClick={onClose}>Leave it</button>
          <button type="submit" class="button first" disabled={!ready}>{busy ? "Working …" : "Recover"}</button>
        </div>
      </form>
    </Dialog>
  );
}

const KINDS = [
  ["", "All"],
  ["succeeded", "Delivered"],
  ["retrying", "To be retried"],
  ["queued", "Waiting"],
  ["failed", "Failed"],
] as const;
const PAGE = 25;

function Deliveries({ webhook }: { webhook: Webhook }) {
  const place = namespace.value;
  const state = query.value.get("state") ?? "";
  const [limit, setLimit] = useState(PAGE);
  useEffect(() => setLimit(PAGE), [state]);
  const { data, error, reload } = useLoad(`deliveries/${place}/${webhook.name}/${state}`, (signal) =>
    listDeliveries(webhook.name, { namespace: place, state: state || undefined, limit }, signal),
  );
  const again = useThrottle(reload, 1000);
  useEffect(() => {
    if (limit !== PAGE) reload();
  }, [limit]);
  useLive<JobEvent>(`jobs:wh--${webhook.name}`, { onItems: again, onGap: again });
  useEvery(again, 10_000);
  return (
    <section class="sheet" aria-label="Deliveries">
      <header>
        <h2>Deliveries</h2>
        <div class="end">
          <select aria-label="Which deliveries" value={state} onChange={(event) => refine({ state: event.currentTarget.value }, { replace: true })}>
            {KINDS.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          </select>
        </div>
      </header>
      {error && !data ? (
        <div class="inner"><Broken error={error} again={reload} /></div>
      ) : !data ? (
        <Waiting lines={6} />
      ) : !data.items.length ? (
        <Empty icon="send" title={state ? "No delivery is in this state" : "Nothing was sent yet"}>
          <p>{state ? "" : "The next event that fits goes out at once; a test event shows how it arrives."}</p>
        </Empty>
      ) : (
        <>
          <Table label="Table of deliveries" heads={["State", "Delivery", "Event", "Attempts>", "Detail", "Changed>"]}>
            {data.items.map((row) => <Row key={row.id} row={row} webhook={webhook.name} />)}
          </Table>
          {data.nextCursor && limit < 200 && (
            <div class="inner"><button type="button" class="button slim" onClick={() => setLimit(Math.min(200, limit * 4))}>Show more</button></div>
          )}
        </>
      )}
    </section>
  );
}

function Row({ row, webhook }: { row: DeliveryRow; webhook: string }) {
  return (
    <tr>
      <td><StateBadge state={row.state} reason={row.reason} /></td>
      <td class="mono nowrap"><a href={href(`webhooks/${webhook}/${row.id}`)} title={row.id}>{short(row.id)}</a></td>
      <td class="mono break">{row.eventType}</td>
      <td class="right number">{row.attempt}</td>
      <td class="small soft">
        {row.state !== "succeeded" && row.error}
        {row.state === "retrying" && row.due && <span class="nowrap">{row.error ? " · " : ""}{Date.parse(row.due) > now.value ? <>again <Ago at={row.due} /></> : "due, and waits for its turn"}</span>}
      </td>
      <td class="right nowrap small"><Ago at={row.updated} /></td>
    </tr>
  );
}

function Facts({ webhook }: { webhook: Webhook }) {
  const spec = (webhook.declared?.spec ?? {}) as {
    timeoutSeconds?: number;
    concurrency?: number;
    ratePerSecond?: number;
    serial?: string;
    secretRef?: { name: string; key: string };
    retry?: { preset?: string; maxRetries?: number };
    filter?: { jobs?: string[] };
    disableAfterSeconds?: number;
  };
  const retry = spec.retry?.maxRetries !== undefined ? `${count(spec.retry.maxRetries, "time")} more` : spec.retry?.preset === "short" ? "3 times within 4 minutes" : "9 times within 75 hours";
  return (
    <section class="sheet">
      <header><h2>Facts</h2></header>
      <div class="inner">
        <dl class="pairs">
          <Fact name="Events"><span class="row wrap">{webhook.events.map((event) => <a key={event} class="chip mono" href={href("events", new URLSearchParams({ type: event }))}>{event}</a>)}</span></Fact>
          <Fact name="Of Jobs">{spec.filter?.jobs?.join(", ")}</Fact>
          <Fact name="Filter">{webhook.expression && <code class="break">{webhook.expression}</code>}</Fact>
          <Fact name="Not judged">{webhook.filterErrors > 0 && <span class="bad-text">{count(webhook.filterErrors, "event")} that the filter could not judge</span>}</Fact>
          <Fact name="Signed">{webhook.signed ? `${webhook.signature === "plain" ? "X-Signature" : "Standard Webhooks"}, with the secret ${spec.secretRef ? `${spec.secretRef.name}/${spec.secretRef.key}` : ""}` : "not signed: anybody can send the like"}</Fact>
          {webhook.declared && (
            <>
              <Fact name="Time limit">{spec.timeoutSeconds ?? 30} s</Fact>
              <Fact name="Tried again">{retry}</Fact>
              <Fact name="At once">{spec.concurrency ?? 10}{spec.ratePerSecond ? `, at most ${spec.ratePerSecond} a second` : ""}</Fact>
              <Fact name="Order">{spec.serial ? `one at a time for each ${spec.serial}` : null}</Fact>
              <Fact name="Declared"><Ago at={webhook.declared.created} /> <span class="faint small"><Clock at={webhook.declared.created} /></span></Fact>
            </>
          )}
        </dl>
      </div>
    </section>
  );
}
