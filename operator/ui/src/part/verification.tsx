// The snippet by which a receiver verifies what it gets.

import { useState } from "preact/hooks";
import { type Language, LANGUAGES, type Sent, type Signature, verificationOf } from "../verification";
import { Copy } from "./code";

export function Verification({ signed, signature, sent = null }: { signed: boolean; signature: Signature; sent?: Sent | null }) {
  const [language, setLanguage] = useState<Language>(sent ? "shell" : "python");
  const text = verificationOf(language, signature, sent);
  return (
    <section class="sheet" aria-label="Verify a request">
      <header>
        <h2>Verify {sent ? "this very request" : "a request"}</h2>
        {signed && <div class="end"><Copy text={text} label="Copy the snippet" /></div>}
      </header>
      <div class="inner stack">
        {signed ? (
          <>
            <div class="segment" role="group" aria-label="Language">
              {LANGUAGES.map(([value, name]) => (
                <button key={value} type="button" aria-pressed={value === language} onClick={() => setLanguage(value)}>{name}</button>
              ))}
            </div>
            <pre class="code" tabIndex={0} role="region" aria-label="Verification">{text}</pre>
            <p class="small faint">The secret stands in the Secret alone: neither this page nor the gateway knows it.</p>
          </>
        ) : (
          <p class="soft">Its requests are not signed. Give the Webhook a <code>secretRef</code>, so that the receiver can tell them from forged ones.</p>
        )}
      </div>
    </section>
  );
}
