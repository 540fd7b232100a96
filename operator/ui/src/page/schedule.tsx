// One schedule: when it runs next, by its own clock and by the viewer's, how its last runs went, and what one can do.

import { useState } from "preact/hooks";
import { getDeclared } from "../api/declared";
import { type Declaration, listJobs } from "../api/gateway";
import { type Calendar, listNext, type Occurrence, previewCalendar, setSuspended, triggerSchedule } from "../api/schedule";
import type { JobEvent, JobRow } from "../api/type";
import { useEvery, useLoad, useThrottle } from "../load";
import { List, Table, Whole } from "../part/asked";
import { Copy, Json } from "../part/code";
import { Conditions, Readiness, readyOf } from "../part/condition";
import { Confirm } from "../part/dialog";
import { Broken, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Fact, Figure, Spec, Trail } from "../part/piece";
import { StateBadge, STATES } from "../part/state";
import { Ago, Clock, Span } from "../part/time";
import { isGone } from "../api/client";
import { go, href } from "../route";
import { nextOf, readSchedule, type Schedule } from "../schedule";
import { now } from "../store/clock";
import { useLive } from "../store/live";
import { attempt } from "../store/notice";
import { may, namespace } from "../store/session";
import { zone } from "../store/setting";
import { shell, short, whole } from "../text";
import { span } from "../time";
import { isZone, wallOf } from "../wall";

const SHOWN = 20;

export function SchedulePage({ name }: { name: string }) {
  const place = namespace.value;
  const loaded = useLoad(`schedule/${place}/${name}`, (signal) => getDeclared("scheduledjobs", name, place, signal));
  useEvery(loaded.reload, 5000);
  const instead = (
    <>
      <p>The jobs that it enqueued may still be there.</p>
      <a class="button" href={href("jobs", `schedule=${name}`)}>Its runs</a>
    </>
  );
  return (
    <Whole of={loaded} name={name} gone={`No ScheduledJob ${name} is declared in ${place}`} instead={instead}>
      {(declared) => <Planned declared={declared} onDone={loaded.reload} />}
    </Whole>
  );
}

function Planned({ declared, onDone }: { declared: Declaration; onDone: () => void }) {
  const schedule = readSchedule(declared);
  const ready = readyOf(declared);
  const next = nextOf(schedule, now.value);
  const last = schedule.lastRun;
  return (
    <>
      <Trail to="schedules" name="Schedules">{schedule.name}</Trail>
      <div class="title">
        <h1>{schedule.name}</h1>
        <Readiness declared={declared} />
        <div class="end"><Actions schedule={schedule} onDone={onDone} /></div>
      </div>
      <div class="row wrap small">
        <code class="soft">{schedule.calendar}</code>
        <span class="soft">in {schedule.zone}</span>
        <Copy text={`kubectl get scheduledjob.jetmill.dev ${shell(schedule.name)} --namespace ${shell(declared.namespace)} --output yaml`} label="Copy as a command">kubectl</Copy>
      </div>
      {ready?.status === "False" && (
        <div class="notice" role="alert">
          <Icon name="dead" />
          <div class="grow"><strong>{ready.reason}</strong><p>{ready.message}</p></div>
        </div>
      )}
      <div class="tiles">
        <Figure name="Next run" value={next ? <Ago at={next} /> : "–"} note={next ? <Clock at={next} /> : schedule.suspended ? "none while it is suspended" : "no slot is planned"} />
        <Figure name="Last run" value={last ? <StateBadge state={last.state} reason={last.reason} /> : "–"} note={schedule.lastTime ? <Ago at={schedule.lastTime} /> : "not yet"} />
        <Figure name="Active" value={schedule.active === null ? "–" : whole(schedule.active)} note="runs not ended" />
        <Figure name="Missed" value={schedule.missed === null ? "–" : whole(schedule.missed)} note="slots that nobody planned in time" tone={schedule.missed ? "warn" : undefined} />
      </div>
      <div class="grid lead">
        <div class="stack">
          <Next schedule={schedule} generation={declared.generation ?? 0} />
          <Runs schedule={schedule} />
        </div>
        <div class="stack">
          <Facts declared={declared} schedule={schedule} />
          <Preview schedule={schedule} spec={declared.spec} />
        </div>
      </div>
      <Conditions conditions={declared.status?.conditions ?? []} />
      <Spec declared={declared} />
    </>
  );
}

function Actions({ schedule, onDone }: { schedule: Schedule; onDone: () => void }) {
  const [asked, setAsked] = useState<"trigger" | "suspend" | null>(null);
  const [busy, setBusy] = useState(false);
  const mayTrigger = may("create", "scheduledjobs/trigger");
  const mayChange = may("patch", "scheduledjobs");
  const trigger = () =>
    attempt(async () => {
      const id = await triggerSchedule(schedule.name, namespace.value);
      go(`jobs/${id}`);
      return "Triggered: this is its job";
    });
  const suspend = async (suspended: boolean) => {
    setBusy(true);
    await attempt(async () => {
      await setSuspended(schedule.name, namespace.value, suspended);
      return suspended ? "Suspended: what was planned is withdrawn" : "Resumed: it goes on from now";
    });
    onDone();
    setBusy(false);
  };
  return (
    <>
      <a class="button" href={href("jobs", `schedule=${schedule.name}`)}>All its runs</a>
      <button type="button" class="button" disabled={busy || !mayChange} title={mayChange ? undefined : "You may not change schedules in this namespace"} onClick={() => (schedule.suspended ? void suspend(false) : setAsked("suspend"))}>
        <Icon name={schedule.suspended ? "play" : "pause"} />
        {schedule.suspended ? "Resume" : "Suspend"}
      </button>
      <button type="button" class="button first" disabled={busy || !mayTrigger} title={mayTrigger ? undefined : "You may not trigger schedules in this namespace"} onClick={() => setAsked("trigger")}>
        <Icon name="bolt" />
        Trigger
      </button>
      {asked === "trigger" && (
        <Confirm title={`Run ${schedule.name} now?`} verb="Trigger" onClose={() => setAsked(null)} onConfirm={trigger}>
          <p>A job of <b>{schedule.job}</b> with the schedule's payload is enqueued at once, beside its slots. The calendar goes on as before.</p>
        </Confirm>
      )}
      {asked === "suspend" && (
        <Confirm title={`Suspend ${schedule.name}?`} verb="Suspend" danger onClose={() => setAsked(null)} onConfirm={() => suspend(true)}>
          <p>What is planned is withdrawn, and nothing is enqueued until it is resumed. What runs goes on.</p>
        </Confirm>
      )}
    </>
  );
}

function Next({ schedule, generation }: { schedule: Schedule; generation: number }) {
  const place = namespace.value;
  const { data, error, reload } = useLoad(
    schedule.suspended ? null : `next/${place}/${schedule.name}/${generation}/${schedule.nextRuns[0] ?? ""}`,
    (signal) => listNext(schedule.name, place, SHOWN, signal),
  );
  const coming = data?.filter((one) => Date.parse(one.time) > now.value);
  return (
    <section class="sheet" aria-label="Next runs">
      <header>
        <h2>Next runs</h2>
        {coming && <span class="faint small">{whole(coming.length)}, without jitter</span>}
      </header>
      {schedule.suspended ? (
        <p class="inner faint">None while it is suspended.</p>
      ) : error && !data ? (
        isGone(error) ? <p class="inner faint">Nothing is planned yet: the operator has not taken notice of it.</p> : <div class="inner"><Broken error={error} again={reload} /></div>
      ) : !coming ? (
        <Waiting lines={6} />
      ) : coming.length ? (
        <Occurrences items={coming} of={schedule.zone} label={`Next runs of ${schedule.name}`} />
      ) : (
        <p class="inner faint">No slot follows: its calendar has ended.</p>
      )}
    </section>
  );
}

/** Times of a calendar by its own wall clock and by the viewer's. */
function Occurrences({ items, of, label }: { items: Occurrence[]; of: string; label: string }) {
  const mine = zone.value || Intl.DateTimeFormat().resolvedOptions().timeZone;
  const both = mine !== of && isZone(of);
  return (
    <Table some label={label} heads={[of, ...(both ? [`Yours: ${mine}`] : []), "In>"]}>
      {items.map((one) => (
        <tr key={one.time}>
          <td class="number">
            <Wall at={one.time} of={of} />
            {one.note && <div class="small"><span class="chip"><Icon name="clock" /> {one.note}</span></div>}
          </td>
          {both && <td class="number"><Wall at={one.time} of={mine} /></td>}
          <td class="right nowrap"><Ago at={one.time} /></td>
        </tr>
      ))}
    </Table>
  );
}

function Wall({ at, of }: { at: string; of: string }) {
  const ms = Date.parse(at);
  const wall = wallOf(ms, of);
  return (
    <time class="nowrap" dateTime={at} title={`${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`}>
      {wall.day}{wall.year === wallOf(now.value, of).year ? "" : ` ${wall.year}`} <b>{wall.time}</b> <span class="faint small">{wall.offset}</span>
    </time>
  );
}

const RUNS = 12;
/** Slots that are planned stand among the next runs. */
const BEGUN = STATES.filter((state) => state !== "scheduled");

async function loadRuns(name: string, place: string, signal: AbortSignal): Promise<JobRow[]> {
  const params = new URLSearchParams({ schedule: name, limit: String(RUNS), sort: "-updated" });
  for (const state of BEGUN) params.append("state", state);
  return (await listJobs(place, params, signal)).body.items;
}

function Runs({ schedule }: { schedule: Schedule }) {
  const place = namespace.value;
  const loaded = useLoad(`runs/${place}/${schedule.name}`, (signal) => loadRuns(schedule.name, place, signal));
  const again = useThrottle(loaded.reload, 1000);
  useLive<JobEvent>(schedule.job ? `jobs:${schedule.job}` : null, { onItems: again, onGap: again });
  return (
    <section class="sheet" aria-label="Recent runs">
      <header>
        <h2>Recent runs</h2>
        <div class="end"><a href={href("jobs", `schedule=${schedule.name}`)}>All of them</a></div>
      </header>
      <List of={loaded} empty={<p class="inner faint">It has not run yet, or its runs were removed by age.</p>}>
        {(rows) => (
          <Table label="Table of runs" heads={["State", "Run", "Detail", "Ran for>", "Changed>"]}>
            {rows.map((row) => <Run key={row.id} row={row} />)}
          </Table>
        )}
      </List>
    </section>
  );
}

function Run({ row }: { row: JobRow }) {
  const running = row.state === "running" || row.state === "cancelling";
  return (
    <tr>
      <td><StateBadge state={row.state} reason={row.reason} /></td>
      <td class="mono nowrap"><a href={href(`jobs/${row.id}`)} title={row.id}>{short(row.id)}</a></td>
      <td class="soft small message">{row.error && row.state !== "succeeded" ? `${row.error.type.split(".").at(-1)}: ${row.error.message}` : (row.reason ?? "")}</td>
      <td class="right nowrap">{row.started ? <Span from={row.started} to={running ? null : (row.ended ?? row.updated)} /> : <span class="faint">–</span>}</td>
      <td class="right nowrap"><Ago at={row.updated} /></td>
    </tr>
  );
}

const OVERLAP: Record<string, string> = {
  Allow: "runs may overlap",
  Forbid: "a run is skipped while one is active",
  Replace: "a new run cancels the one before",
};

function Facts({ declared, schedule }: { declared: Declaration; schedule: Schedule }) {
  const spec = declared.spec as {
    concurrencyPolicy?: string;
    startingDeadlineSeconds?: number;
    catchUp?: { policy?: string; max?: number };
    jitterSeconds?: number;
    startAt?: string;
    endAt?: string;
    payload?: unknown;
  };
  const policy = spec.concurrencyPolicy ?? "Allow";
  const catchUp = spec.catchUp?.policy ?? "Last";
  return (
    <section class="sheet">
      <header><h2>Facts</h2></header>
      <div class="inner">
        <dl class="pairs">
          <Fact name="Job"><a href={href(`declarations/${schedule.job}`)}>{schedule.job}</a></Fact>
          <Fact name="Calendar"><code>{schedule.calendar}</code></Fact>
          <Fact name="Zone">{schedule.zone}</Fact>
          <Fact name="Overlap">{policy}: {OVERLAP[policy] ?? ""}</Fact>
          <Fact name="Missed slots">{catchUp === "None" ? "left out" : catchUp === "Last" ? "the newest is run late" : `all are run late, at most ${spec.catchUp?.max ?? 10}`}</Fact>
          <Fact name="Start within">{spec.startingDeadlineSeconds ? span(spec.startingDeadlineSeconds * 1000) : null}</Fact>
          <Fact name="Jitter">{spec.jitterSeconds ? `up to ${span(spec.jitterSeconds * 1000)}` : null}</Fact>
          <Fact name="From">{spec.startAt ? <Clock at={spec.startAt} /> : null}</Fact>
          <Fact name="Until">{spec.endAt ? <Clock at={spec.endAt} /> : null}</Fact>
          <Fact name="Declared"><Ago at={declared.created} /></Fact>
        </dl>
        {spec.payload !== undefined && (
          <>
            <h3 class="soft above">Payload</h3>
            <Json value={spec.payload} label="Payload" />
          </>
        )}
      </div>
    </section>
  );
}

/** Try another expression before it is declared. */
function Preview({ schedule, spec }: { schedule: Schedule; spec: Record<string, unknown> }) {
  const [text, setText] = useState(String(spec["schedule"] ?? spec["every"] ?? ""));
  const [place, setPlace] = useState(schedule.zone);
  const [asked, setAsked] = useState<Calendar | null>(null);
  const { data, error } = useLoad(asked && `calendar/${JSON.stringify(asked)}`, (signal) => previewCalendar(asked as Calendar, 8, signal));
  return (
    <section class="sheet" aria-label="Try an expression">
      <header><h2>Try an expression</h2><span class="faint small">changes nothing</span></header>
      <form
        class="inner stack"
        onSubmit={(event) => {
          event.preventDefault();
          const words = text.trim();
          const every = /^(\d+[smhd])+$/.test(words.replace(/^every\s+/, ""));
          setAsked(every ? { every: words.replace(/^every\s+/, ""), timeZone: place } : { schedule: words, timeZone: place });
        }}
      >
        <label class="field">
          <span>Cron expression, or a length of time</span>
          <input type="text" class="mono" value={text} onInput={(event) => setText(event.currentTarget.value)} placeholder="30 2 * * mon-fri" autoComplete="off" spellcheck={false} />
        </label>
        <div class="row">
          <label class="field grow">
            <span>Zone</span>
            <input type="text" value={place} onInput={(event) => setPlace(event.currentTarget.value)} autoComplete="off" spellcheck={false} />
          </label>
          <button type="submit" class="button end-of-field" disabled={!text.trim()}>Preview</button>
        </div>
      </form>
      {error ? <div class="inner"><Broken error={error} /></div> : data && asked && <Occurrences items={data} of={asked.timeZone} label="Times of the expression" />}
    </section>
  );
}
