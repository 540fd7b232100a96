// How a Webhook's receiver fares, in a badge; the status of an answer in another.

import type { Webhook } from "../webhook";
import { Readiness, readyOf } from "./condition";
import { Icon } from "./icon";

export function Receiver({ webhook }: { webhook: Webhook }) {
  const { declared } = webhook;
  if (declared?.deleting || webhook.suspended) return declared ? <Readiness declared={declared} /> : <span class="state" data-tone="warn"><Icon name="pause" />suspended</span>;
  if (webhook.circuit === "disabled") {
    const why = webhook.disabled === "gone" ? "Its receiver answered 410: it wants nothing more" : "Nothing but failures came for days";
    return <span class="state" data-tone="bad" title={why}><Icon name="cancel" />disabled</span>;
  }
  if (declared && readyOf(declared)?.status === "False") return <Readiness declared={declared} />;
  if (webhook.circuit === "open") return <span class="state" data-tone="warn" title="Its receiver failed too often: nothing is sent for now"><Icon name="pause" />paused</span>;
  if (webhook.circuit === "half-open") return <span class="state" data-tone="warn" title="One request at a time tries whether its receiver is back"><Icon name="retry" />trying</span>;
  if (webhook.failingSince) return <span class="state" data-tone="warn"><Icon name="dead" />failing</span>;
  return declared ? <Readiness declared={declared} /> : <span class="state" data-tone="good"><Icon name="check" />ready</span>;
}

/** The status of an answer; without one, that none came. */
export function Answered({ status, delivered }: { status?: number | null | undefined; delivered: boolean }) {
  return (
    <span class="state number" data-tone={delivered ? "good" : "bad"}>
      <Icon name={delivered ? "check" : "dead"} />
      {status ?? "no answer"}
    </span>
  );
}
