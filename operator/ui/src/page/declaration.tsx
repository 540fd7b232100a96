// Declarations: the Jobs that are declared here, whether they are ready, and how their workers follow the backlog.

import { useMemo } from "preact/hooks";
import { getDeclared, listDeclared } from "../api/declared";
import { type Declaration as Declared, getStats, listFlows } from "../api/gateway";
import type { JobEvent, Latency } from "../api/type";
import { isLate } from "../attention";
import { useEvery, useLoad, useThrottle } from "../load";
import { List, Table, Whole } from "../part/asked";
import { Copy } from "../part/code";
import { Conditions, Readiness, readyOf } from "../part/condition";
import { Empty } from "../part/empty";
import { Meter } from "../part/meter";
import { Figure, Spec, Trail } from "../part/piece";
import { Ago } from "../part/time";
import { href } from "../route";
import { fill, rates, timesOf } from "../series";
import { now } from "../store/clock";
import { queues, seenOf } from "../store/glance";
import { useLive } from "../store/live";
import { namespace } from "../store/session";
import { count, rateFor, shell, whole } from "../text";
import { span, spanOf } from "../time";
import { Chart, Legend, type Line } from "../part/line";

function imageOf(declared: Declared): string {
  const worker = (declared.spec["worker"] ?? {}) as { image?: string; from?: { name?: string } };
  return worker.image ?? (worker.from?.name ? `on the workers of ${worker.from.name}` : "");
}

export function Declarations() {
  const name = namespace.value;
  const loaded = useLoad(`declarations/${name}`, (signal) => listDeclared("jobs", name, signal));
  useEvery(loaded.reload, 5000);
  return (
    <>
      <div class="title">
        <h1>Declarations</h1>
        <span class="soft">{loaded.data?.length ? count(loaded.data.length, "Job") : ""}</span>
      </div>
      <section class="sheet" aria-label="Jobs">
        <List
          of={loaded}
          empty={
            <Empty icon="declarations" title="No Job is declared in this namespace">
              <pre class="code" tabIndex={0}>kubectl apply -f jobs.yaml --namespace {name}</pre>
            </Empty>
          }
        >
          {(items) => (
            <Table label="Table of Jobs" heads={["Job", "Status", "Waiting>", "In hand>", "Later>", "Workers", "Slots busy", "Declared"]}>
              {items.map((declared) => <Row key={declared.name} declared={declared} />)}
            </Table>
          )}
        </List>
      </section>
    </>
  );
}

function Row({ declared }: { declared: Declared }) {
  const name = declared.name;
  const queue = queues.value?.find((one) => one.job === name);
  const ready = readyOf(declared);
  const handler = declared.spec["handler"];
  return (
    <tr>
      <td>
        <a href={href(`declarations/${name}`)}><b>{name}</b></a>
        <div class="faint small mono">{typeof handler === "string" ? handler : imageOf(declared)}</div>
      </td>
      <td>
        <Readiness declared={declared} />
        {ready && ready.status !== "True" && <div class="small soft">{ready.message}</div>}
      </td>
      <td class="right number">{numberOf(queue?.ready)}</td>
      <td class="right number">{numberOf(queue?.inFlight)}</td>
      <td class="right number">{numberOf(queue?.delayed)}</td>
      <td class="number">{workersOf(declared, queue?.workers)}</td>
      <td style={{ minWidth: "100px" }}>{queue && <Meter part={queue.busy} all={queue.slots} label={`Busy slots of ${name}`} />}</td>
      <td class="small"><Ago at={declared.created} /></td>
    </tr>
  );
}

function workersOf(declared: Declared, present: number | undefined): string {
  const scaling = (declared.spec["scaling"] ?? {}) as { minReplicas?: number; maxReplicas?: number };
  const most = scaling.maxReplicas;
  return `${present ?? 0}${most === undefined ? "" : ` of ${scaling.minReplicas ?? 0}–${most}`}`;
}

export function Declaration({ name }: { name: string }) {
  const place = namespace.value;
  const loaded = useLoad(`declaration/${place}/${name}`, (signal) => getDeclared("jobs", name, place, signal));
  useEvery(loaded.reload, 5000);
  const instead = (
    <>
      <p>Its jobs may still be there.</p>
      <a class="button" href={href("jobs", `job=${name}`)}>Jobs of {name}</a>
    </>
  );
  return (
    <Whole of={loaded} name={name} gone={`No Job ${name} is declared in ${place}`} instead={instead}>
      {(declared) => <Job declared={declared} />}
    </Whole>
  );
}

/** In the last quarter of an hour. */
function Took({ name, latency }: { name: string; latency: Latency | undefined }) {
  return <Figure name={name} value={spanOf(latency?.p95)} note={latency && `half ${spanOf(latency.p50)}, 99 % ${spanOf(latency.p99)}`} />;
}

function Job({ declared }: { declared: Declared }) {
  const name = declared.name;
  const queue = queues.value?.find((one) => one.job === name);
  const flows = useLoad(`flows/${namespace.value}`, (signal) => listFlows(namespace.value, signal));
  useEvery(flows.reload, 10_000);
  const flow = flows.data?.[name];
  const scaling = declared.status?.["scaling"] as { desired: number; reason: string; message: string; time: string } | undefined;
  return (
    <>
      <Trail to="declarations" name="Declarations">{name}</Trail>
      <div class="title">
        <h1>{name}</h1>
        <Readiness declared={declared} />
        <div class="end">
          <Copy text={`kubectl get jmj ${shell(name)} --namespace ${shell(declared.namespace)} --output yaml`} label="Copy as a command">kubectl</Copy>
          <a class="button" href={href("jobs", `job=${name}`)}>Its jobs</a>
          <a class="button" href={href("jobs", `job=${name}&state=failed`)}>Failed ones</a>
        </div>
      </div>
      <div class="tiles">
        <Figure name="Waiting" value={numberOf(queue?.ready)} note={flow?.oldestSeconds === undefined ? undefined : `the oldest for ${spanOf(flow.oldestSeconds)}`} tone={isLate(flow?.oldestSeconds) ? "warn" : undefined} />
        <Figure name="In hand" value={numberOf(queue?.inFlight)} note={queue ? `${whole(queue.busy)} of ${whole(queue.slots)} slots busy` : undefined} />
        <Figure name="For later" value={numberOf(queue?.delayed)} />
        <Figure name="Workers" value={numberOf(queue?.workers)} note={scaling ? `${scaling.desired} wanted` : undefined} />
        <Took name="Wait p95" latency={flow?.wait} />
        <Took name="Run p95" latency={flow?.run} />
      </div>
      <div class="grid two">
        <Scaling name={name} decision={scaling} />
        <Throughput name={name} />
      </div>
      <Conditions conditions={declared.status?.conditions ?? []} />
      <Spec declared={declared} />
    </>
  );
}

function numberOf(value: number | undefined): string {
  return value === undefined ? "–" : whole(value);
}

/** What was seen, and no less than five minutes: a line needs room. */
function watched(times: number[]): [number, number] {
  const end = times.at(-1) ?? now.peek() / 1000;
  return [Math.min(times[0] ?? end, end - 300), end];
}

/** What this page has seen since it was opened: nobody keeps it longer. */
function Scaling({ name, decision }: { name: string; decision: { message: string; time: string } | undefined }) {
  const seen = seenOf(name);
  const lines = useMemo((): Line[] => [
    { label: "waiting and in hand", tone: "run", values: seen.map((one) => one.load), area: true, stepped: true },
    { label: "slots of the workers", tone: "accent", values: seen.map((one) => one.slots), stepped: true },
    { label: "workers", tone: "plan", values: seen.map((one) => one.workers), stepped: true },
  ], [seen]);
  const times = useMemo(() => seen.map((one) => one.time), [seen]);
  return (
    <section class="sheet">
      <header><h2>Scaling</h2><span class="faint small">since this page was opened</span></header>
      <div class="inner stack">
        <Legend lines={lines} />
        <Chart label={`Backlog and workers of ${name}`} times={times} lines={lines} format={whole} whole height={180} range={watched(times)} />
        {decision && <p class="small soft"><b>Last decision</b> <Ago at={decision.time} />: {decision.message}</p>}
      </div>
    </section>
  );
}

const HOUR = 60;

function Throughput({ name }: { name: string }) {
  const place = namespace.value;
  const { data, reload } = useLoad(`stats/${place}/${name}`, async (signal) => {
    const until = Date.now();
    const since = until - HOUR * 60_000;
    return fill(await getStats(place, { since: new Date(since).toISOString(), step: 60, job: name }, signal), since, until, 60);
  });
  const again = useThrottle(reload, 3000);
  useLive<JobEvent>(`jobs:${name}`, { onItems: again, onGap: again });
  const lines = useMemo((): Line[] => [
    { label: "succeeded", tone: "good", values: rates(data ?? [], "succeeded", 60), area: true },
    { label: "failed", tone: "bad", values: rates(data ?? [], "failed", 60), area: true },
    { label: "enqueued", tone: "run", values: rates(data ?? [], "enqueued", 60) },
  ], [data]);
  const times = useMemo(() => timesOf(data ?? []), [data]);
  const last = data?.findLast((bucket) => typeof bucket.runP50 === "number");
  return (
    <section class="sheet">
      <header>
        <h2>Throughput, last hour</h2>
        {last && <span class="end faint small">runs {span((last.runP50 ?? 0) * 1000)}, 99 % within {span((last.runP99 ?? 0) * 1000)}</span>}
      </header>
      <div class="inner stack">
        <Legend lines={lines} />
        <Chart label={`Jobs per second of ${name}`} times={times} lines={lines} format={rateFor(lines)} height={180} />
      </div>
    </section>
  );
}
