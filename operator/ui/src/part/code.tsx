// JSON with its parts told apart, and a button that copies what it stands beside.

import { useState } from "preact/hooks";
import { say } from "../store/notice";
import { Icon } from "./icon";

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The parts of a JSON text: [text, class]; joined they are the text. */
export function parts(json: string): [string, string][] {
  const found: [string, string][] = [];
  let end = 0;
  for (const token of json.matchAll(TOKEN)) {
    if (token.index > end) found.push([json.slice(end, token.index), ""]);
    const [whole, string, colon, word] = token;
    if (string && colon) found.push([string, "k"], [colon, ""]);
    else found.push([whole, string ? "s" : word ? "l" : "n"]);
    end = token.index + whole.length;
  }
  if (end < json.length) found.push([json.slice(end), ""]);
  return found;
}

export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  const shown = text.length > 100_000 ? `${text.slice(0, 100_000)}\n… ${text.length - 100_000} more characters` : text;
  return (
    <pre class="code" tabIndex={0} aria-label={label} role="region">
      {parts(shown).map(([part, kind], index) => (kind ? <span key={index} class={kind}>{part}</span> : part))}
    </pre>
  );
}

export function Copy({ text, label, children }: { text: string; label: string; children?: string }) {
  const [done, setDone] = useState(false);
  return (
    <button
      type="button"
      class="button plain slim"
      aria-label={children ? undefined : label}
      title={label}
      onClick={async () => {
        try {
          await navigator.clipboard.writeText(text);
          setDone(true);
          setTimeout(() => setDone(false), 1500);
        } catch {
          say("The browser does not let this page copy", "bad");
        }
      }}
    >
      <Icon name={done ? "check" : "copy"} />
      {children}
    </button>
  );
}
