// A job's state as colour, sign and word: nobody has to tell colours apart.

import type { State } from "../api/type";
import { Icon, type IconName } from "./icon";

export type Tone = "good" | "bad" | "warn" | "run" | "plan" | "calm";

const LOOKS: Record<State, [Tone, IconName]> = {
  scheduled: ["plan", "calendar"],
  queued: ["calm", "clock"],
  running: ["run", "play"],
  retrying: ["warn", "retry"],
  cancelling: ["warn", "cancel"],
  succeeded: ["good", "check"],
  failed: ["bad", "dead"],
  cancelled: ["calm", "cancel"],
  skipped: ["calm", "dash"],
  discarded: ["calm", "discard"],
};

export const STATES = Object.keys(LOOKS) as State[];
export const OPEN: readonly State[] = ["scheduled", "queued", "running", "retrying", "cancelling"];

export function toneOf(state: State): Tone {
  return LOOKS[state]?.[0] ?? "calm";
}

export function StateBadge({ state, reason }: { state: State; reason?: string | null | undefined }) {
  const [tone, icon] = LOOKS[state] ?? ["calm", "dash"];
  return (
    <span class="state" data-tone={tone} data-state={state} title={reason ? `${state}: ${reason}` : undefined}>
      <Icon name={icon} />
      {state}
    </span>
  );
}
