// What a viewer chose, kept in this browser: theme, zone, how dense charts look back. Nothing of it leaves the browser.

import { effect, signal } from "@preact/signals";

const PREFIX = "jetmill.";

function kept(name: string, otherwise: string): string {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise; // a browser that keeps nothing still shows the page
  }
}

function setting(name: string, otherwise: string) {
  const value = signal(kept(name, otherwise));
  effect(() => {
    const now = value.value;
    try {
      if (now === otherwise) localStorage.removeItem(PREFIX + name);
      else localStorage.setItem(PREFIX + name, now);
    } catch {
      // as above
    }
  });
  return value;
}

export type Theme = "system" | "light" | "dark";

export const theme = setting("theme", "system");
/** An IANA zone, "" for the browser's own. */
export const zone = setting("zone", "");
/** Minutes that charts look back. */
export const lookback = setting("lookback", "60");
/** The namespace that was looked at last. */
export const lastNamespace = setting("namespace", "");

/** Write the theme where the style sheet looks for it, and follow the system's while that is wanted. */
export function followTheme(): void {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const wanted = theme.value === "system" ? (dark.matches ? "dark" : "light") : theme.value;
    document.documentElement.dataset["theme"] = wanted;
  };
  effect(apply);
  dark.addEventListener("change", apply);
}
