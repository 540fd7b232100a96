// The shell around every page: where one can go, what is live, what is wrong; the keyboard.

import { computed, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Broken, Waiting } from "./part/empty";
import { Icon } from "./part/icon";
import { Keys } from "./part/keys";
import { Palette, paletteOpen, type Command } from "./part/palette";
import { Toasts } from "./part/toast";
import { Login } from "./page/login";
import { Page, warm } from "./pages";
import { PLACES } from "./place";
import { go, href, path } from "./route";
import { now } from "./store/clock";
import { deadCount, jobNames } from "./store/glance";
import { awaySince, live, streamState } from "./store/live";
import { access, chooseNamespace, namespace, phase, server, startSession, trouble } from "./store/session";
import { theme } from "./store/setting";
import { span } from "./time";

export const keysOpen = signal(false);

function Side() {
  const here = computed(() => path.value.split("/")[0] ?? "");
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    // on a narrow screen the list runs out of sight sideways
    list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [here.value]);
  return (
    <aside class="side">
      <a class="brand" href={href("")}>
        <img src={href("mark.svg")} alt="" width="26" height="26" />
        Jetmill
      </a>
      <nav aria-label="Pages">
        <ul ref={list}>
          {PLACES.map((place) => (
            <li key={place.path}>
              <a
                href={href(place.path)}
                aria-current={here.value === place.path ? "page" : undefined}
                onPointerEnter={() => warm(place.path)}
                onFocus={() => warm(place.path)}
              >
                <Icon name={place.icon} />
                <span>{place.name}</span>
                {place.path === "dead" && !!deadCount.value && (
                  <span class="tally" title={`${deadCount.value} dead letters`}>
                    {deadCount.value > 999 ? "999+" : deadCount.value}
                  </span>
                )}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="foot">
        <span class="cut" title={access.value?.user}>{access.value ? `Signed in as ${access.value.user.replace(/^system:serviceaccount:/, "")}` : ""}</span>
        <span>{server.value ? `Jetmill ${server.value.version}` : ""}</span>
      </div>
    </aside>
  );
}

const WORDS = { joining: "Connecting", open: "Live", away: "Not live" } as const;

function Top() {
  const served = server.value?.namespaces ?? [];
  const dark = document.documentElement.dataset["theme"] === "dark";
  return (
    <header class="top">
      {served.length > 1 ? (
        <label>
          <span class="unseen">Namespace</span>
          <select value={namespace.value} onChange={(event) => void chooseNamespace(event.currentTarget.value)}>
            {served.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <span class="soft" title="Namespace">{namespace.value}</span>
      )}
      <span class="grow" />
      <button type="button" class="button finder" onClick={() => (paletteOpen.value = true)}>
        <Icon name="search" />
        <span class="label">Go to, or do</span>
        <span class="key" aria-hidden="true">Ctrl K</span>
      </button>
      <span class="live" data-state={streamState.value} role="status">
        <i class="dot" />
        {WORDS[streamState.value]}
      </span>
      <button
        type="button"
        class="button plain"
        aria-label={theme.value === "dark" || (theme.value === "system" && dark) ? "Use the light theme" : "Use the dark theme"}
        onClick={() => {
          theme.value = document.documentElement.dataset["theme"] === "dark" ? "light" : "dark";
        }}
      >
        <Icon name={theme.value === "dark" || (theme.value === "system" && dark) ? "sun" : "moon"} />
      </button>
    </header>
  );
}

/** While the stream is away for more than a moment: since when, and that nothing is lost by it. */
function Away() {
  const since = awaySince.value;
  if (since === null || now.value - since < 2000) return null;
  return (
    <div class="strip" data-tone="bad" role="alert">
      <Icon name="plug" />
      <span>
        Not connected for {span(now.value - since)}. What is shown may be old; events that come meanwhile are given later.
      </span>
      <button type="button" class="button slim" onClick={() => live.hurry()}>
        Try now
      </button>
    </div>
  );
}

function commands(): Command[] {
  return [
    ...PLACES.map((place): Command => ({ icon: place.icon, text: place.name, note: `g ${place.key}`, run: () => go(place.path) })),
    { icon: "dead", text: "Failed jobs", note: "filter", run: () => go("jobs", { params: "state=failed" }) },
    { icon: "play", text: "Running jobs", note: "filter", run: () => go("jobs", { params: "state=running" }) },
    { icon: "sun", text: "Theme: light", run: () => (theme.value = "light") },
    { icon: "moon", text: "Theme: dark", run: () => (theme.value = "dark") },
    { icon: "keyboard", text: "Keyboard", note: "?", run: () => (keysOpen.value = true) },
    ...jobNames.value.map((name): Command => ({ icon: "declarations", text: name, note: "Job", run: () => go(`declarations/${name}`) })),
    ...(server.value?.namespaces ?? []).map((name): Command => ({ icon: "settings", text: `Namespace: ${name}`, run: () => void chooseNamespace(name) })),
  ];
}

function direct(typed: string): Command[] {
  const id = typed.trim();
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(id)) return [{ icon: "jobs", text: `Job ${id}`, run: () => go(`jobs/${id}`) }];
  return [];
}

let leader = 0;

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Ctrl K anywhere; `g` and a letter, `/` and `?` outside of fields. */
export function onKey(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    paletteOpen.value = !paletteOpen.value;
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "g") {
    leader = Date.now();
    return;
  }
  const place = Date.now() - leader < 1200 ? PLACES.find((one) => one.key === event.key) : undefined;
  leader = 0;
  if (place) go(place.path);
  else if (event.key === "?") keysOpen.value = true;
  else if (event.key === "/") document.querySelector<HTMLInputElement>("input[type=search]")?.focus();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", onKey);

function Shell({ children }: { children: ComponentChildren }) {
  return (
    <div class="shell">
      <a class="skip" href="#content" data-outside onClick={(event) => { event.preventDefault(); document.getElementById("content")?.focus(); }}>
        To the content
      </a>
      <Side />
      <div class="main">
        <Top />
        <Away />
        <main class="content" id="content" tabIndex={-1}>
          {children}
        </main>
      </div>
      {paletteOpen.value && <Palette commands={commands} direct={direct} />}
      {keysOpen.value && <Keys onClose={() => (keysOpen.value = false)} />}
    </div>
  );
}

export function App() {
  return (
    <>
      {phase.value === "starting" && <main class="login"><h1 class="unseen">Jetmill</h1><Waiting lines={3} /></main>}
      {phase.value === "stranger" && <Login />}
      {phase.value === "broken" && (
        <main class="login">
          <h1 class="unseen">Jetmill</h1>
          <Broken error={trouble.value} again={() => void startSession()} />
        </main>
      )}
      {phase.value === "in" && <Shell><Page /></Shell>}
      <Toasts />
    </>
  );
}
