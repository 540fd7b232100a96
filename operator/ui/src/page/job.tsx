// One job, whole: its course, its records, what it was given and what it gave, its log as it is written, and why it
// does not run. Read from the ledger itself, so that it is never behind.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Action, explainJob, getJob, getPayload, getResult, readLine } from "../api/gateway";
import { address, ProblemError } from "../api/client";
import type { Job, JobEvent, LogLine, Progress, Told, Transition } from "../api/type";
import { useEvery, useLoad, useThrottle } from "../load";
import { Copy, Json } from "../part/code";
import { Course } from "../part/course";
import { Confirm } from "../part/dialog";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { OPEN, StateBadge, toneOf } from "../part/state";
import { Ago, Clock, Span } from "../part/time";
import { href } from "../route";
import { actOnOne, allowed, applies, explain } from "../store/act";
import { useLive } from "../store/live";
import { may, namespace } from "../store/session";
import { span, millis } from "../time";
import { shell } from "../text";

export function JobPage({ id }: { id: string }) {
  const name = namespace.value;
  const { data: job, error, reload } = useLoad(`${name}/${id}`, (signal) => getJob(id, name, signal));
  const again = useThrottle(reload, 250);
  useLive<JobEvent>(`job:${id}`, { onItems: again, onGap: again });
  if (error && !job) {
    if (error instanceof ProblemError && error.status === 404) return <Gone id={id} />;
    return <Broken error={error} again={reload} />;
  }
  if (!job) return <section class="sheet"><Waiting lines={8} /></section>;
  return <Whole job={job} />;
}

function Gone({ id }: { id: string }) {
  return (
    <Empty page icon="search" title="There is no such job here">
      <p>
        <span class="mono">{id}</span> is not in namespace <b>{namespace.value}</b>: it was never there, or it ended so long ago that it was removed.
      </p>
      <a class="button" href={href("jobs")}>To the jobs</a>
    </Empty>
  );
}

function Whole({ job }: { job: Job }) {
  const open = (OPEN as string[]).includes(job.state);
  return (
    <>
      <nav class="trail" aria-label="Where this is">
        <a href={href("jobs")}>Jobs</a> / <a href={href("jobs", `job=${job.job}`)}>{job.job}</a>
      </nav>
      <div class="title">
        <h1>{job.job}</h1>
        <StateBadge state={job.state} reason={job.reason} />
        {job.reason && <span class="soft">{job.reason}</span>}
        <div class="end"><Actions job={job} /></div>
      </div>
      <div class="row wrap small">
        <span class="mono soft" style={{ overflowWrap: "anywhere" }}>{job.id}</span>
        <Copy text={job.id} label="Copy the id" />
        <Copy text={`curl -s ${shell(address(`jobs/${job.id}`, { namespace: job.namespace }))} -H "Authorization: Bearer $TOKEN"`} label="Copy as curl">curl</Copy>
        <Copy text={`jetmill job show ${job.id} --namespace ${shell(job.namespace)}`} label="Copy as a command">command</Copy>
      </div>
      {job.error && job.state !== "succeeded" && <Failure job={job} />}
      {open && job.state !== "running" && <Why job={job} />}
      <section class="sheet">
        <header>
          <h2>Course</h2>
          <span class="faint small">{attempts(job)}</span>
        </header>
        <div class="inner"><Course history={job.history} /></div>
      </section>
      <div class="grid lead">
        <div class="stack">
          <Log key={`log-${job.id}`} job={job} />
          <Given job={job} />
          <Records history={job.history} />
        </div>
        <div class="stack"><Facts job={job} /></div>
      </div>
    </>
  );
}

function attempts(job: Job): string {
  const most = job.maxRetries === null || job.maxRetries === undefined ? "" : ` of ${job.maxRetries + 1}`;
  const crashes = job.crashes ? `, ${job.crashes} worker ${job.crashes === 1 ? "crash" : "crashes"}` : "";
  const again = job.enqueueing > 1 ? `, queued ${job.enqueueing} times` : "";
  return `attempt ${job.attempt}${most}${crashes}${again}`;
}

const VERBS: [Action, string][] = [
  ["retry", "Retry"],
  ["cancel", "Cancel"],
  ["discard", "Discard"],
];

function Actions({ job }: { job: Job }) {
  const [asked, setAsked] = useState<Action | null>(null);
  const [busy, setBusy] = useState(false);
  const run = async (action: Action) => {
    setBusy(true);
    await actOnOne(action, job.id);
    setBusy(false);
  };
  return (
    <>
      {VERBS.filter(([action]) => applies(action, job.state)).map(([action, verb]) => (
        <button
          key={action}
          type="button"
          class={`button ${action === "retry" ? "first" : "danger"}`}
          disabled={busy || !allowed(action)}
          title={allowed(action) ? undefined : `You may not ${action} jobs in this namespace`}
          onClick={() => (action === "retry" && job.state !== "succeeded" ? void run(action) : setAsked(action))}
        >
          <Icon name={action} />
          {verb}
        </button>
      ))}
      {asked && (
        <Confirm
          title={`${asked[0]?.toUpperCase()}${asked.slice(1)} this job?`}
          verb={VERBS.find(([action]) => action === asked)?.[1] ?? asked}
          danger={asked !== "retry"}
          onClose={() => setAsked(null)}
          onConfirm={() => run(asked)}
        >
          <p>{asked === "retry" ? "It ended well: running it again does its work twice." : explain(asked)}</p>
        </Confirm>
      )}
    </>
  );
}

function Failure({ job }: { job: Job }) {
  const error = job.error;
  if (!error) return null;
  const traceback = error.traceback ?? job.history.findLast((record) => record.error?.traceback)?.error?.traceback;
  return (
    <section class="sheet">
      <header>
        <Icon name="dead" />
        <h2 class="bad-text mono">{error.type}</h2>
        {traceback && <div class="end"><Copy text={traceback} label="Copy the traceback" /></div>}
      </header>
      <div class="inner stack">
        <p style={{ overflowWrap: "anywhere" }}>{error.message}</p>
        {traceback && <pre class="code" tabIndex={0} role="region" aria-label="Traceback">{traceback}</pre>}
      </div>
    </section>
  );
}

/** Asked of the gateway, which looks at queue, workers and cluster now; again while somebody looks. */
function Why({ job }: { job: Job }) {
  const last = job.history.at(-1)?.seq ?? 0;
  const { data, reload } = useLoad(`why/${job.namespace}/${job.id}/${last}`, (signal) => explainJob(job.id, job.namespace, signal));
  useEvery(reload, WHY_MS);
  const causes = data ?? [];
  if (!causes.length) return null;
  return (
    <div class="notice" data-tone="calm">
      <Icon name="clock" />
      <div class="grow">
        <strong>Why it is not running</strong>
        <ul class="causes">
          {causes.map((cause) => (
            <li key={cause.code} data-code={cause.code}>
              <div>
                {cause.text}
                {cause.cure && <div class="small faint">{cause.cure}</div>}
              </div>
            </li>
          ))}
        </ul>
      </div>
      <Copy text={`jetmill why ${job.id} --namespace ${shell(job.namespace)}`} label="Copy as a command">jetmill why</Copy>
    </div>
  );
}

function Log({ job }: { job: Job }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [progress, setProgress] = useState<Progress | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const follows = useRef(true);
  useLive<Told>(`log:${job.id}`, {
    onItems: (items) => setLines((before) => joinLines(before, items.map((item) => readLine(item.seq, item.time, item.log))).slice(-MOST_LINES)),
  });
  useLive<Told>(`progress:${job.id}`, { onItems: (items) => setProgress(items.at(-1)?.progress ?? null) });
  useEffect(() => {
    const found = list.current;
    if (found && follows.current) found.scrollTop = found.scrollHeight;
  }, [lines.length]);
  const fraction = progress?.fraction ?? null;
  return (
    <section class="sheet">
      <header>
        <h2>Log</h2>
        {job.state === "running" && <span class="live" data-state="open"><i class="dot" />as it is written</span>}
        {progress && (
          <div class="end small soft">
            {progress.message}
            {fraction !== null && <b class="number">{Math.round(fraction * 100)} %</b>}
          </div>
        )}
      </header>
      {fraction !== null && (
        <div class="meter" role="progressbar" aria-label="Progress" aria-valuenow={Math.round(fraction * 100)} aria-valuemin={0} aria-valuemax={100}>
          <span style={{ width: `${Math.min(100, fraction * 100)}%` }} />
        </div>
      )}
      {lines.length ? (
        <ul
          class="log"
          ref={list}
          tabIndex={0}
          aria-label="Log lines"
          onScroll={(event) => {
            const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
            follows.current = scrollHeight - scrollTop - clientHeight < 30;
          }}
        >
          {lines.map((line) => (
            <li key={line.seq} data-level={line.level}>
              <Clock at={line.time} />
              <span class="level">{line.level}</span>
              <span>
                {line.message}
                {Object.entries(line.fields).map(([name, value]) => (
                  <span key={name} class="faint"> {name}={typeof value === "string" ? value : JSON.stringify(value)}</span>
                ))}
              </span>
            </li>
          ))}
        </ul>
      ) : (
        <p class="inner faint">Nothing was logged{job.state === "running" ? " yet" : ""}. Lines of <code>ctx.log</code> are kept for a day.</p>
      )}
    </section>
  );
}

const MOST_LINES = 1000;
const WHY_MS = 5000;

/** Lines and those that came after them, without what is in both. */
function joinLines(read: LogLine[], came: LogLine[]): LogLine[] {
  const last = read.at(-1)?.seq ?? 0;
  return [...read, ...came.filter((line) => line.seq > last)];
}

function Given({ job }: { job: Job }) {
  const readable = may("get", "jobs/payload");
  const ended = job.state === "succeeded";
  const payload = useLoad(readable ? `payload/${job.id}` : null, (signal) => getPayload(job.id, job.namespace, signal));
  const result = useLoad(may("get", "jobs/result") && ended ? `result/${job.id}/${job.enqueueing}` : null, (signal) => getResult(job.id, job.namespace, signal));
  if (!readable) {
    return (
      <div class="notice" data-tone="calm">
        <Icon name="person" />
        <p>Payload and result are not shown: that takes the right <code>get jobs/payload</code>.</p>
      </div>
    );
  }
  return (
    <section class="sheet">
      <header><h2>Payload{ended ? " and result" : ""}</h2></header>
      <div class="inner stack">
        <Value name="Payload" loaded={payload} />
        {ended && may("get", "jobs/result") && <Value name="Result" loaded={result} />}
      </div>
    </section>
  );
}

function Value({ name, loaded }: { name: string; loaded: { data: unknown; error: unknown; busy: boolean } }) {
  if (loaded.error) return <Broken error={loaded.error} />;
  if (loaded.busy) return <Waiting lines={2} />;
  return (
    <div>
      <div class="row between">
        <h3 class="soft">{name}</h3>
        <Copy text={JSON.stringify(loaded.data, null, 2)} label={`Copy the ${name.toLowerCase()}`} />
      </div>
      <Json value={loaded.data} label={name} />
    </div>
  );
}

function Records({ history }: { history: Transition[] }) {
  return (
    <section class="sheet">
      <header>
        <h2>Records</h2>
        <span class="faint small">what the ledger says, newest first</span>
      </header>
      <ol class="steps">
        {[...history].reverse().map((record, index) => {
          const before = history[history.length - 2 - index];
          const took = before ? (millis(record.time) ?? 0) - (millis(before.time) ?? 0) : null;
          return (
            <li key={record.seq}>
              <span class="mark" data-tone={toneOf(record.state)} />
              <b>{record.state}</b>
              <span class="soft small detail">
                {[record.reason, record.state === "running" ? `attempt ${record.attempt} on ${record.worker ?? "?"}` : null, record.error ? `${record.error.type}: ${record.error.message}` : null]
                  .filter(Boolean)
                  .join(" · ")}
                {record.due && <> due <Clock at={record.due} /></>}
                <span class="faint"> by {record.by}</span>
              </span>
              <span class="small faint right">
                <Clock at={record.time} /> {took !== null && <span title="after the record before">+{span(took)}</span>}
              </span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function Facts({ job }: { job: Job }) {
  const labels = Object.entries(job.labels ?? {});
  return (
    <section class="sheet">
      <header><h2>Facts</h2></header>
      <div class="inner">
        <dl class="pairs">
          <dt>Job</dt>
          <dd><a href={href(`declarations/${job.job}`)}>{job.job}</a></dd>
          <dt>Namespace</dt>
          <dd>{job.namespace}</dd>
          <dt>Enqueued</dt>
          <dd><Ago at={job.enqueued} /> <span class="faint small"><Clock at={job.enqueued} /></span></dd>
          {job.user && <><dt>By</dt><dd><a href={href("jobs", new URLSearchParams({ user: job.user }))}>{job.user}</a></dd></>}
          {job.scheduledFor && <><dt>Due</dt><dd><Ago at={job.scheduledFor} /></dd></>}
          {job.started && (
            <>
              <dt>Waited</dt>
              <dd><Span from={job.enqueued} to={job.started} /></dd>
              <dt>Ran for</dt>
              <dd><Span from={job.started} to={job.finished ?? null} /></dd>
            </>
          )}
          {job.worker && <><dt>Worker</dt><dd class="mono small">{job.worker}</dd></>}
          <dt>Priority</dt>
          <dd>{job.priority ?? "normal"}</dd>
          {job.timeoutSeconds && <><dt>Time limit</dt><dd>{span(job.timeoutSeconds * 1000)}</dd></>}
          {job.startBy && <><dt>Start by</dt><dd><Clock at={job.startBy} /></dd></>}
          {job.concurrencyKey && <><dt>One at a time</dt><dd class="mono small">{job.concurrencyKey}</dd></>}
          {job.schedule && <><dt>Schedule</dt><dd><a href={href(`schedules/${job.schedule}`)}>{job.schedule}</a></dd></>}
          {job.trace && <><dt>Trace</dt><dd class="mono small">{job.trace.split("-")[1] ?? job.trace} <Copy text={job.trace} label="Copy the traceparent" /></dd></>}
          {labels.length > 0 && (
            <>
              <dt>Labels</dt>
              <dd class="row wrap">
                {labels.map(([name, value]) => (
                  <a key={name} class="chip" title="Related jobs: all with this label" href={href("jobs", new URLSearchParams({ label: `${name}=${value}` }))}>
                    {name}={value}
                  </a>
                ))}
              </dd>
            </>
          )}
        </dl>
        <p class="small" style={{ marginTop: "14px" }}>
          <a href={href("jobs", `job=${job.job}`)}>Other jobs of {job.job}</a>
          {" · "}
          <a href={href("jobs", `job=${job.job}&state=failed`)}>its failed ones</a>
        </p>
      </div>
    </section>
  );
}
