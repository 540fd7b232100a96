// Asking for what a page shows: the last answer stays while a new one is under way, and a page that was left asks no more.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  data: T | null;
  error: unknown;
  busy: boolean;
  reload: () => void;
}

/** `key` says what is asked for: another key forgets the answer and asks; null asks for nothing. */
export function useLoad<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; data: T | null; error: unknown; busy: boolean }>({
    key,
    data: null,
    error: null,
    busy: key !== null,
  });
  const under = useRef<AbortController | null>(null);
  const asking = useRef(ask);
  asking.current = ask;
  const load = useCallback(async () => {
    under.current?.abort();
    if (key === null) return;
    const control = new AbortController();
    under.current = control;
    setState((before) => ({ ...(before.key === key ? before : { key, data: null, error: null }), busy: true }));
    try {
      const data = await asking.current(control.signal);
      if (!control.signal.aborted) setState({ key, data, error: null, busy: false });
    } catch (error) {
      if (!control.signal.aborted) setState((before) => ({ ...before, key, error, busy: false }));
    }
  }, [key]);
  useEffect(() => {
    void load();
    return () => under.current?.abort();
  }, [load]);
  const current = state.key === key ? state : { data: null, error: null, busy: true };
  return { data: current.data, error: current.error, busy: current.busy, reload: load };
}

/** Call it, but not more often than each `ms`, and once more after the last wish. */
export function useThrottle(what: () => void, ms: number): () => void {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const last = useRef(0);
  const doing = useRef(what);
  doing.current = what;
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    if (timer.current) return;
    const wait = Math.max(0, last.current + ms - Date.now());
    timer.current = setTimeout(() => {
      timer.current = undefined;
      last.current = Date.now();
      doing.current();
    }, wait);
  }, [ms]);
}

/** Call it every so often while somebody looks. */
export function useEvery(what: () => void, ms: number): void {
  const doing = useRef(what);
  doing.current = what;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) doing.current();
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
}
