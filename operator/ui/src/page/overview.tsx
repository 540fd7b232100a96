// How it goes: throughput, failures, latency, what waits, who works, and what needs attention.

import { useMemo } from "preact/hooks";
import { listDeclared } from "../api/declared";
import { getStats, groupJobs, listFlows } from "../api/gateway";
import { listHooks } from "../api/webhook";
import type { Flow, Group, Queue } from "../api/type";
import { type Finding, findAttention, isLate } from "../attention";
import { useEvery, useLoad, useThrottle } from "../load";
import { Chart, Legend, type Line } from "../part/line";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Meter } from "../part/meter";
import { StateBadge, STATES, toneOf } from "../part/state";
import { href } from "../route";
import { fill, LOOKBACKS, lookbackOf, newest, rates, sum, timesOf } from "../series";
import { now } from "../store/clock";
import { deadCount, queues, workers } from "../store/glance";
import { gaps, useLive } from "../store/live";
import { may, namespace } from "../store/session";
import { lookback } from "../store/setting";
import { brief, percent, rate, rateFor, whole } from "../text";
import { span, spanOf } from "../time";
import type { State } from "../api/type";

const NONE = new URLSearchParams();

export function Overview() {
  const name = namespace.value;
  const look = lookbackOf(lookback.value);
  const stats = useLoad(`stats/${name}/${look.minutes}/${gaps.value}`, async (signal) => {
    const until = Date.now();
    const since = until - look.minutes * 60_000;
    const found = await getStats(name, { since: new Date(since).toISOString(), step: look.stepSeconds }, signal);
    return fill(found, since, until, look.stepSeconds);
  });
  const states = useLoad(`states/${name}/${gaps.value}`, (signal) => groupJobs(name, "state", NONE, signal));
  const declared = useLoad(`declared/${name}`, (signal) => listDeclared("jobs", name, signal));
  const flows = useLoad(`flows/${name}`, (signal) => listFlows(name, signal));
  const hooks = useLoad(may("list", "webhooks/deliveries") ? `hooks/${name}` : null, (signal) => listHooks(name, signal));
  const again = useThrottle(() => {
    stats.reload();
    states.reload();
  }, 2000);
  useLive("namespace", { onItems: again, onGap: again });
  useEvery(again, 10_000);
  useEvery(declared.reload, 15_000);
  useEvery(flows.reload, 10_000);
  useEvery(hooks.reload, 15_000);
  const findings = findAttention({
    queues: queues.value ?? [],
    flows: flows.data ?? {},
    workers: workers.value ?? [],
    dead: deadCount.value ?? 0,
    buckets: stats.data ?? [],
    declarations: declared.data ?? [],
    hooks: hooks.data ?? [],
    now: now.value,
  });
  const nothing = queues.value !== null && !queues.value.length && states.data !== null && !states.data.length;
  return (
    <>
      <div class="title">
        <h1>Overview</h1>
        <div class="end">
          <div class="segment" role="group" aria-label="Time shown">
            {LOOKBACKS.map((one) => (
              <button key={one.minutes} type="button" aria-pressed={one === look} onClick={() => (lookback.value = String(one.minutes))}>
                {one.name}
              </button>
            ))}
          </div>
        </div>
      </div>
      {stats.error !== null && !stats.data && <Broken error={stats.error} again={() => { stats.reload(); states.reload(); declared.reload(); }} />}
      {nothing ? <Welcome /> : (
        <>
          <Tiles buckets={stats.data} states={states.data} step={look.stepSeconds} />
          <div class="grid lead even">
            <Throughput buckets={stats.error ? (stats.data ?? []) : stats.data} step={look.stepSeconds} minutes={look.minutes} />
            <Attention findings={findings} ready={queues.value !== null} />
          </div>
          <div class="grid lead">
            <Backlog queues={queues.value} flows={flows.data ?? {}} />
            <div class="stack">
              <Latency buckets={stats.error ? (stats.data ?? []) : stats.data} minutes={look.minutes} />
              <States groups={states.data} />
            </div>
          </div>
        </>
      )}
    </>
  );
}

function Welcome() {
  return (
    <section class="sheet">
      <Empty icon="bolt" title="Nothing is declared here yet">
        <p>A Job says which function runs, on which image and how often it is tried. Apply one, enqueue, and watch it here:</p>
        <pre class="code" tabIndex={0}>{"kubectl apply -f jobs.yaml\njetmill job run send-email --payload '{\"to\": \"ada@example.com\"}'"}</pre>
      </Empty>
    </section>
  );
}

type Buckets = ReturnType<typeof fill>;

const UNKNOWN = "–";

/** What is not known is a dash, never a zero. */
function Tiles({ buckets: known, states, step }: { buckets: Buckets | null; states: Group[] | null; step: number }) {
  const buckets = known ?? [];
  const failed = sum(buckets, "failed");
  const ended = failed + sum(buckets, "succeeded");
  const last = buckets.at(-2);
  const waiting = (queues.value ?? []).reduce((all, queue) => all + queue.ready, 0);
  const later = (queues.value ?? []).reduce((all, queue) => all + queue.delayed, 0);
  const running = states?.find((group) => group.key === "running")?.count ?? 0;
  const slots = (workers.value ?? []).reduce((all, worker) => all + worker.slots, 0);
  const p50 = newest(buckets, "waitP50");
  const p99 = newest(buckets, "waitP99");
  return (
    <div class="tiles">
      <Tile name="Throughput" value={known ? rate(last ? (last.succeeded + last.failed) / step : 0) : UNKNOWN} note={`${brief(ended)} ended`} to="jobs" />
      <Tile name="Failed" value={percent(failed, ended)} note={`${whole(failed)} of ${brief(ended)}`} tone={ended && failed / ended >= 0.1 ? "bad" : undefined} to="jobs" params="state=failed" />
      <Tile name="Waiting" value={queues.value ? brief(waiting) : UNKNOWN} note={`and ${brief(later)} for later`} to="jobs" params="state=queued" />
      <Tile name="Running" value={states ? brief(running) : UNKNOWN} note={`on ${whole(workers.value?.length ?? 0)} workers, ${brief(slots)} slots`} to="jobs" params="state=running" />
      <Tile name="Wait before start" value={spanOf(p50)} note={p99 === null ? "half of the jobs" : `99 %: ${spanOf(p99)}`} to="jobs" />
      <Tile name="Dead letters" value={deadCount.value === null ? UNKNOWN : brief(deadCount.value)} note="wait for a person" tone={deadCount.value ? "warn" : undefined} to="dead" />
    </div>
  );
}

interface TileProps {
  name: string;
  value: string;
  note: string;
  to: string;
  params?: string | undefined;
  tone?: string | undefined;
}

function Tile({ name, value, note, to, params, tone }: TileProps) {
  return (
    <a class="sheet tile" href={href(to, params)} data-tone={tone}>
      <div class="name">{name}</div>
      <div class="value">{value}</div>
      <div class="note">{note}</div>
    </a>
  );
}

function rangeOf(minutes: number): [number, number] {
  const end = now.peek() / 1000;
  return [end - minutes * 60, end];
}

function Throughput({ buckets, step, minutes }: { buckets: Buckets | null; step: number; minutes: number }) {
  const lines = useMemo((): Line[] => {
    const seen = buckets ?? [];
    return [
      { label: "succeeded", tone: "good", values: rates(seen, "succeeded", step), area: true },
      { label: "failed", tone: "bad", values: rates(seen, "failed", step), area: true },
      { label: "retried", tone: "warn", values: rates(seen, "retried", step) },
      { label: "enqueued", tone: "run", values: rates(seen, "enqueued", step) },
    ];
  }, [buckets, step]);
  const times = useMemo(() => timesOf(buckets ?? []), [buckets]);
  return (
    <section class="sheet">
      <header>
        <h2>Throughput</h2>
        <div class="end"><Legend lines={lines} /></div>
      </header>
      <div class="inner">
        {buckets ? <Chart label="Jobs per second" times={times} lines={lines} format={rateFor(lines)} range={rangeOf(minutes)} height={236} /> : <Waiting lines={6} />}
      </div>
    </section>
  );
}

function Latency({ buckets, minutes }: { buckets: Buckets | null; minutes: number }) {
  const lines = useMemo((): Line[] => {
    const seen = buckets ?? [];
    return [
      { label: "wait, half", tone: "run", values: seen.map((bucket) => bucket.waitP50 ?? null) },
      { label: "wait, 99 %", tone: "plan", values: seen.map((bucket) => bucket.waitP99 ?? null) },
      { label: "run, half", tone: "good", values: seen.map((bucket) => bucket.runP50 ?? null) },
      { label: "run, 99 %", tone: "warn", values: seen.map((bucket) => bucket.runP99 ?? null) },
    ];
  }, [buckets]);
  const times = useMemo(() => timesOf(buckets ?? []), [buckets]);
  return (
    <section class="sheet">
      <header>
        <h2>Latency</h2>
      </header>
      <div class="inner">
        <Legend lines={lines} />
        {buckets ? <Chart label="Seconds waited and run" times={times} lines={lines} format={(value) => span(value * 1000)} range={rangeOf(minutes)} height={170} /> : <Waiting />}
      </div>
    </section>
  );
}

function Attention({ findings, ready }: { findings: Finding[]; ready: boolean }) {
  return (
    <section class="sheet urgent" aria-label="What needs attention">
      <header>
        <h2>Needs attention</h2>
        {findings.length > 0 && <span class="state" data-tone={findings.some((one) => one.tone === "bad") ? "bad" : "warn"}>{findings.length}</span>}
      </header>
      {!ready ? (
        <Waiting />
      ) : findings.length ? (
        <ul class="attention">
          {findings.map((one) => (
            <li key={one.code + one.text} data-code={one.code}>
              <span class={one.tone === "bad" ? "bad-text" : "soft"}><Icon name={one.tone === "bad" ? "dead" : "clock"} /></span>
              <div class="grow">
                <a href={href(...one.to)}>{one.text}</a>
                <div class="small soft">{one.detail}</div>
              </div>
            </li>
          ))}
        </ul>
      ) : (
        <Empty icon="check" title="All is well">
          <p>Nothing has failed for good, every Job is ready, and what waits is served.</p>
        </Empty>
      )}
    </section>
  );
}

function Backlog({ queues: rows, flows }: { queues: Queue[] | null; flows: Record<string, Flow> }) {
  return (
    <section class="sheet">
      <header>
        <h2>Jobs and their queues</h2>
        <div class="end"><a href={href("declarations")}>All declarations</a></div>
      </header>
      {rows === null ? (
        <Waiting />
      ) : (
        <div class="scroll-x" tabIndex={0} role="region" aria-label="Table of queues">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col" class="right">Waiting</th>
                <th scope="col" class="right"><span title="95 of 100 jobs that started in the last 15 minutes had waited at most so long">Wait p95</span></th>
                <th scope="col" class="right"><span title="95 of 100 attempts that ended in the last 15 minutes took at most so long">Run p95</span></th>
                <th scope="col" class="right">Later</th>
                <th scope="col" class="right">Workers</th>
                <th scope="col">In hand</th>
              </tr>
            </thead>
            <tbody>
              {[...rows].sort((a, b) => b.ready - a.ready || a.job.localeCompare(b.job)).map((queue) => (
                <tr key={queue.job}>
                  <td class="nowrap">
                    <a href={href(`declarations/${queue.job}`)}>{queue.job}</a> {queue.suspended && <span class="state" data-tone="warn">suspended</span>}
                  </td>
                  <td class="right number">
                    {whole(queue.ready)}
                    <Oldest seconds={flows[queue.job]?.oldestSeconds} />
                  </td>
                  <td class="right number">{spanOf(flows[queue.job]?.wait?.p95)}</td>
                  <td class="right number">{spanOf(flows[queue.job]?.run?.p95)}</td>
                  <td class="right number">{whole(queue.delayed)}</td>
                  <td class="right number">{whole(queue.workers)}</td>
                  <td style={{ minWidth: "90px" }}>
                    <div class="small number soft">{whole(queue.inFlight)}{queue.slots > 0 && ` of ${whole(queue.slots)}`}</div>
                    <Meter part={queue.busy} all={queue.slots} label={`Busy slots of ${queue.job}`} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** For how long the job has waited that has waited longest; nothing where none does. */
function Oldest({ seconds }: { seconds: number | undefined }) {
  if (seconds === undefined) return null;
  return <div class={`small ${isLate(seconds) ? "warn-text" : "faint"}`} title="The one that has waited longest">{spanOf(seconds)}</div>;
}

function States({ groups }: { groups: Group[] | null }) {
  const all = groups?.reduce((total, group) => total + group.count, 0) ?? 0;
  const sorted = [...(groups ?? [])].sort((a, b) => STATES.indexOf(a.key as State) - STATES.indexOf(b.key as State));
  return (
    <section class="sheet">
      <header>
        <h2>All jobs that are kept</h2>
        <span class="end number soft">{groups ? brief(all) : ""}</span>
      </header>
      {groups === null ? (
        <Waiting lines={3} />
      ) : (
        <div class="inner stack">
          <div class="stackbar" aria-hidden="true">
            {sorted.map((group) => (
              <span key={group.key} class="swatch" data-tone={toneOf(group.key as State)} style={{ width: `${(group.count / all) * 100}%`, height: "100%", borderRadius: 0, flex: "auto" }} />
            ))}
          </div>
          <div class="row wrap">
            {sorted.map((group) => (
              <a key={group.key} class="row" href={href("jobs", `state=${group.key}`)}>
                <StateBadge state={group.key as State} /> <span class="number">{brief(group.count)}</span>
              </a>
            ))}
          </div>
        </div>
      )}
    </section>
  );
}
