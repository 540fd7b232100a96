// Who works: every worker process that is present, what it serves and how busy it is, as it changes.

import { Table } from "../part/asked";
import { Empty, Waiting } from "../part/empty";
import { Meter } from "../part/meter";
import { Ago, Clock } from "../part/time";
import { href } from "../route";
import { workers } from "../store/glance";
import { percent, whole } from "../text";
import type { Worker } from "../api/type";

function StateOf({ worker }: { worker: Worker }) {
  const [tone, word] = worker.stopping
    ? ["warn", "stopping"]
    : worker.draining
      ? ["warn", "draining"]
      : worker.busy
        ? ["run", "busy"]
        : ["good", "idle"];
  return (
    <span class="state" data-tone={tone}>
      {word}
    </span>
  );
}

export function Workers() {
  const found = workers.value;
  const slots = found?.reduce((sum, worker) => sum + worker.slots, 0) ?? 0;
  const busy = found?.reduce((sum, worker) => sum + worker.busy, 0) ?? 0;
  return (
    <>
      <div class="title">
        <h1>Workers</h1>
        {found && found.length > 0 && (
          <span class="soft">
            {whole(found.length)} present · {whole(busy)} of {whole(slots)} slots busy ({percent(busy, slots)})
          </span>
        )}
      </div>
      <section class="sheet" aria-label="Workers">
        {found === null ? (
          <Waiting />
        ) : !found.length ? (
          <Empty icon="workers" title="No worker is present">
            <p>
              That is as it should be while nothing is to be done: workers scale from zero. If jobs wait and none comes, open one of them and see
              why.
            </p>
          </Empty>
        ) : (
          <Table label="Table of workers" heads={["Worker", "State", "Slots", "Serves", "Version", "Since"]}>
            {found.map((worker) => (
              <tr key={worker.worker}>
                <td>
                  <div class="cut" title={worker.worker}>{worker.pod || worker.host || worker.worker}</div>
                  <div class="faint small mono">{worker.pod ? worker.worker : `pid ${worker.pid ?? "?"}`}</div>
                </td>
                <td>
                  <StateOf worker={worker} />
                </td>
                <td style={{ minWidth: "130px" }}>
                  <div class="small number soft">
                    {worker.busy} of {worker.slots}
                  </div>
                  <Meter part={worker.busy} all={worker.slots} label={`Busy slots of ${worker.pod || worker.worker}`} />
                </td>
                <td>
                  <div class="row wrap">
                    {worker.jobs.map((job) => (
                      <a key={job} class="chip" href={href(`declarations/${job}`)}>
                        {job}
                      </a>
                    ))}
                    {worker.missing?.map((job) => (
                      <span key={job} class="state" data-tone="warn" title="This worker knows no handler for it and leaves its jobs to others">
                        {job}: no handler
                      </span>
                    ))}
                  </div>
                </td>
                <td class="small soft">{worker.version || "–"}</td>
                <td class="small">
                  <Ago at={worker.started} /> <span class="faint">(<Clock at={worker.started} />)</span>
                </td>
              </tr>
            ))}
          </Table>
        )}
      </section>
    </>
  );
}
