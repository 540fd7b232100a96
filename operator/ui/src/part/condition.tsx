// What the operator says of an object that is declared: whether it is ready, and its conditions.

import type { Declaration } from "../api/gateway";
import type { Condition } from "../api/type";
import { Table } from "./asked";
import { Icon } from "./icon";
import { Clock } from "./time";

export function conditionOf(declared: Declaration, type: string): Condition | undefined {
  return declared.status?.conditions?.find((condition) => condition.type === type);
}

export function readyOf(declared: Declaration): Condition | undefined {
  return conditionOf(declared, "Ready");
}

export function Readiness({ declared }: { declared: Declaration }) {
  const ready = readyOf(declared);
  if (declared.deleting) return <span class="state" data-tone="warn"><Icon name="clock" />being deleted</span>;
  if (declared.spec["suspend"]) return <span class="state" data-tone="warn"><Icon name="pause" />suspended</span>;
  if (!ready) return <span class="state"><Icon name="clock" />not said yet</span>;
  if (ready.status === "True") return <span class="state" data-tone="good"><Icon name="check" />ready</span>;
  return (
    <span class="state" data-tone={ready.status === "False" ? "bad" : "warn"} title={ready.message}>
      <Icon name="dead" />
      {ready.reason ?? "not ready"}
    </span>
  );
}

export function Conditions({ conditions }: { conditions: Condition[] }) {
  if (!conditions.length) return null;
  return (
    <section class="sheet">
      <header><h2>Conditions</h2></header>
      <Table label="Table of conditions" heads={["Type", "Status", "Reason", "Message", "Since"]}>
        {conditions.map((condition) => (
          <tr key={condition.type}>
            <td><b>{condition.type}</b></td>
            <td><span class="state" data-tone={lookOf(condition)}>{condition.status}</span></td>
            <td class="mono small">{condition.reason}</td>
            <td class="soft message">{condition.message}</td>
            <td class="small"><Clock at={condition.lastTransitionTime} /></td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

const GOOD_WHEN_FALSE = ["Stalled", "Reconciling", "Suspended", "Degraded", "Disabled", "ScalingLimited"];
const MILD = ["Reconciling", "Suspended", "Degraded", "ScalingLimited"];
/** Workers may be another Job's, or none be wanted: nothing is wrong with that. */
const PLAIN_WHEN_FALSE = ["ScalingActive"];

function lookOf(condition: Condition): string | undefined {
  if (condition.status === "False" && PLAIN_WHEN_FALSE.includes(condition.type)) return undefined;
  if (condition.status === "Unknown") return "warn";
  const wanted = GOOD_WHEN_FALSE.includes(condition.type) ? "False" : "True";
  if (condition.status === wanted) return "good";
  return MILD.includes(condition.type) ? "warn" : "bad";
}
