// Schedules: the ScheduledJobs that are declared here, when each runs next, and how its last run went.

import { listDeclared } from "../api/declared";
import type { Declaration } from "../api/gateway";
import { useEvery, useLoad } from "../load";
import { List, Table } from "../part/asked";
import { Readiness, readyOf } from "../part/condition";
import { Empty } from "../part/empty";
import { StateBadge } from "../part/state";
import { Ago, Clock } from "../part/time";
import { href } from "../route";
import { nextOf, readSchedule } from "../schedule";
import { now } from "../store/clock";
import { namespace } from "../store/session";
import { count, whole } from "../text";

export function Schedules() {
  const name = namespace.value;
  const loaded = useLoad(`schedules/${name}`, (signal) => listDeclared("scheduledjobs", name, signal));
  useEvery(loaded.reload, 5000);
  return (
    <>
      <div class="title">
        <h1>Schedules</h1>
        <span class="soft">{loaded.data?.length ? count(loaded.data.length, "ScheduledJob") : ""}</span>
      </div>
      <section class="sheet" aria-label="ScheduledJobs">
        <List
          of={loaded}
          empty={
            <Empty icon="calendar" title="No schedule is declared in this namespace">
              <p>A ScheduledJob enqueues jobs of one Job by a calendar: once for each slot, whatever happens.</p>
              <pre class="code" tabIndex={0}>{EXAMPLE}</pre>
            </Empty>
          }
        >
          {(items) => (
            <Table label="Table of ScheduledJobs" heads={["Schedule", "Job", "Status", "Next run", "Last run", "Active>", "Missed>"]}>
              {items.map((declared) => <Row key={declared.name} declared={declared} />)}
            </Table>
          )}
        </List>
      </section>
    </>
  );
}

const EXAMPLE = `apiVersion: jetmill.dev/v1alpha1
kind: ScheduledJob
metadata: {name: nightly-report}
spec:
  jobRef: {name: report}
  schedule: "30 2 * * *"
  timeZone: Europe/Berlin`;

function Row({ declared }: { declared: Declaration }) {
  const schedule = readSchedule(declared);
  const ready = readyOf(declared);
  const next = nextOf(schedule, now.value);
  const last = schedule.lastRun;
  return (
    <tr>
      <td>
        <a href={href(`schedules/${schedule.name}`)}><b>{schedule.name}</b></a>
        <div class="faint small nowrap"><span class="mono">{schedule.calendar}</span> · {schedule.zone}</div>
      </td>
      <td><a href={href(`declarations/${schedule.job}`)}>{schedule.job}</a></td>
      <td>
        <Readiness declared={declared} />
        {ready && ready.status !== "True" && <div class="small soft message">{ready.message}</div>}
      </td>
      <td class="nowrap">
        {next ? (
          <>
            <Ago at={next} />
            <div class="faint small"><Clock at={next} /></div>
          </>
        ) : (
          <span class="faint">{schedule.suspended ? "none while suspended" : ready ? "none" : "–"}</span>
        )}
      </td>
      <td class="nowrap">
        {last ? (
          <>
            <a href={href(`jobs/${last.id}`)} title={last.id}><StateBadge state={last.state} reason={last.reason} /></a>
            <div class="faint small"><Ago at={last.scheduleTime} /></div>
          </>
        ) : schedule.lastTime ? (
          <Ago at={schedule.lastTime} />
        ) : (
          <span class="faint">not yet</span>
        )}
      </td>
      <td class="right number">{schedule.active === null ? "–" : whole(schedule.active)}</td>
      <td class="right number">
        {schedule.missed === null ? "–" : <span class={schedule.missed ? "bad-text" : ""}>{whole(schedule.missed)}</span>}
      </td>
    </tr>
  );
}
