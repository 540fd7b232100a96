// The page's one stream, and what the banner says of it.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Socket, Stream, type StreamState, type Watcher } from "../api/stream";
import { say } from "./notice";
import { phase } from "./session";

export const streamState = signal<StreamState>("joining");
/** Since when it is away, milliseconds; null while it is not. */
export const awaySince = signal<number | null>(null);
/** Counts the times that something was missed for good: lists read anew when it changes. */
export const gaps = signal(0);

function openSocket(namespace: string): Socket {
  const url = new URL("api/v1/stream", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("namespace", namespace);
  return new WebSocket(url) as unknown as Socket; // of its events only what Socket names is read
}

export const live = new Stream({
  open: openSocket,
  onState(state) {
    streamState.value = state;
    if (state === "open") awaySince.value = null;
    else if (state === "away") awaySince.value ??= Date.now();
  },
  onStranger() {
    phase.value = "stranger";
  },
  onBack(late, gap) {
    if (gap) {
      gaps.value++;
      say("Connected again. Some events are gone for good, so everything was read anew.");
    } else {
      say(late ? `Connected again: ${late} event${late === 1 ? "" : "s"} caught up, none lost.` : "Connected again: nothing was missed.");
    }
  },
});

window.addEventListener("online", () => live.hurry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) live.hurry();
});

/** Watch a topic while the component stands; null watches nothing. */
export function useLive<T>(topic: string | null, watcher: Watcher<T>, after: number | null = null): void {
  const latest = useRef(watcher);
  latest.current = watcher;
  useEffect(() => {
    if (!topic) return undefined;
    return live.watch<T>(
      topic,
      {
        onItems: (items: T[], kind: "events" | "snapshot" | "messages") => latest.current.onItems(items, kind),
        onGap: () => latest.current.onGap?.(),
        onBegin: (seq: number) => latest.current.onBegin?.(seq),
      },
      after,
    );
    // the place to begin counts only when the topic changes
  }, [topic]);
}
