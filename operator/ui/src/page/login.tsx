// Signing in: a Kubernetes token is given once and exchanged for a session; the page never keeps it.

import { useState } from "preact/hooks";
import { login } from "../api/gateway";
import { Copy } from "../part/code";
import { Broken } from "../part/empty";
import { href } from "../route";
import { startSession } from "../store/session";

const COMMAND = "kubectl create token YOUR-SERVICE-ACCOUNT --audience jetmill";

export function Login() {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  return (
    <main class="login">
      <div class="sheet">
        <form
          onSubmit={async (event) => {
            event.preventDefault();
            setBusy(true);
            setError(null);
            try {
              await login(token.trim());
              setToken("");
              await startSession();
            } catch (problem) {
              setError(problem);
            }
            setBusy(false);
          }}
        >
          <div class="row">
            <img src={href("mark.svg")} alt="" width="34" height="34" />
            <h1>Sign in to Jetmill</h1>
          </div>
          <p class="soft">What you may see and do is what Kubernetes' own roles give you.</p>
          <label class="field">
            <span>Kubernetes token</span>
            <input type="password" autoComplete="off" spellcheck={false} value={token} onInput={(event) => setToken(event.currentTarget.value)} autoFocus required />
          </label>
          {error !== null && <Broken error={error} />}
          <button type="submit" class="button first" disabled={busy || !token.trim()}>
            {busy ? "Asking the cluster …" : "Sign in"}
          </button>
          <div class="small soft">
            <div class="row between">
              <span>One from the command line:</span>
              <Copy text={COMMAND} label="Copy the command" />
            </div>
            <pre class="code" tabIndex={0}>{COMMAND}</pre>
          </div>
        </form>
      </div>
    </main>
  );
}
