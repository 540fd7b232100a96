// One clock for the page: a second's pulse while somebody looks, so that spans and "ago" stay true without timers of
// their own. A hidden page does not tick.

import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) now.value = Date.now();
  });
}
