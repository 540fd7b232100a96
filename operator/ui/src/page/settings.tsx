// What a viewer can choose, and what there is to know about this gateway.

import { askServer, logout } from "../api/gateway";
import { useLoad } from "../load";
import { Broken, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { href } from "../route";
import { attempt } from "../store/notice";
import { access, namespace, phase } from "../store/session";
import { now } from "../store/clock";
import { theme, zone } from "../store/setting";
import { local, utc } from "../time";

const THEMES = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
] as const;

function ZoneField() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <label class="field">
      <span>Times are shown in</span>
      <select value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value)}>
        <option value="">this browser's zone ({own})</option>
        <option value="UTC">UTC</option>
        {Intl.supportedValuesOf("timeZone").map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <span class="faint">
        Now {local(now.value, 0, zone.value)}, which is {utc(now.value).slice(0, 19)} UTC
      </span>
    </label>
  );
}

/** Whatever the gateway says of itself, in its own words: a new field shows without a new page. */
function About() {
  const { data, error, reload } = useLoad("server", askServer);
  if (error) return <div class="inner"><Broken error={error} again={reload} /></div>;
  if (!data) return <Waiting />;
  return (
    <div class="inner">
      <dl class="pairs">
        {Object.entries(data).map(([name, value]) => (
          <Pair key={name} name={name} value={value} />
        ))}
      </dl>
    </div>
  );
}

function Pair({ name, value }: { name: string; value: unknown }) {
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase();
  const text = Array.isArray(value) ? value.join(", ") || "none" : typeof value === "object" && value ? JSON.stringify(value) : String(value ?? "–");
  return (
    <>
      <dt>{words}</dt>
      <dd>{text}</dd>
    </>
  );
}

export function Settings() {
  return (
    <>
      <div class="title">
        <h1>Settings</h1>
      </div>
      <div class="grid two">
        <section class="sheet">
          <header>
            <h2>This browser</h2>
          </header>
          <div class="inner stack">
            <div class="field">
              <span id="theme-label">Theme</span>
              <div class="segment" role="group" aria-labelledby="theme-label">
                {THEMES.map(([value, name]) => (
                  <button key={value} type="button" aria-pressed={theme.value === value} onClick={() => (theme.value = value)}>
                    {name}
                  </button>
                ))}
              </div>
            </div>
            <ZoneField />
            <p class="faint small">Kept in this browser only. Motion follows the system's setting.</p>
          </div>
        </section>
        <section class="sheet">
          <header>
            <h2>You</h2>
            {access.value?.method === "session" && (
              <div class="end">
                <button
                  type="button"
                  class="button slim"
                  onClick={() =>
                    void attempt(async () => {
                      await logout();
                      phase.value = "stranger";
                    })
                  }
                >
                  Sign out
                </button>
              </div>
            )}
          </header>
          <div class="inner">
            <dl class="pairs">
              <dt>name</dt>
              <dd>{access.value?.user}{access.value?.method === "none" && <span class="faint"> (nobody is asked who they are here)</span>}</dd>
              <dt>groups</dt>
              <dd>{access.value?.groups.join(", ") || "–"}</dd>
              <dt>namespace</dt>
              <dd>{namespace.value}</dd>
            </dl>
            <h3 class="soft" style={{ margin: "16px 0 8px" }}>What you may do here</h3>
            <ul class="rights">
              {access.value?.rights.map((right) => (
                <li key={right.verb + right.resource} class="row" title={`${right.verb} ${right.resource}`}>
                  <span class={right.allowed ? "yes" : "no"}><Icon name={right.allowed ? "check" : "close"} /></span>
                  <span class={right.allowed ? "" : "faint"}>{right.description}</span>
                  <span class="unseen">{right.allowed ? "allowed" : "not allowed"}</span>
                </li>
              ))}
            </ul>
          </div>
        </section>
        <section class="sheet">
          <header>
            <h2>This gateway</h2>
          </header>
          <About />
        </section>
        <section class="sheet">
          <header>
            <h2>The same by other ways</h2>
          </header>
          <div class="inner stack">
            <p>
              This page uses the public API and nothing else. <a href={href("api/v1/docs")} data-outside>Its documentation</a> stands here, readable without the
              Internet.
            </p>
            <p class="soft">
              On the command line: <code>jetmill job list</code>, <code>jetmill job show ID</code>, <code>jetmill why ID</code>.
            </p>
          </div>
        </section>
      </div>
    </>
  );
}
