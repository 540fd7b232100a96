// The live stream: one socket for all that the page watches. Each topic's sequence is kept, so that after a break it
// goes on where it stopped, on whichever gateway answers; what was lost for good arrives as a gap and is told.
//
//   joining ──hello──▶ open ──closed, silent──▶ away ──backoff──▶ joining
//                        └──4401──▶ stranger

export type StreamState = "joining" | "open" | "away";

export interface Watcher<T = unknown> {
  /** Events of a topic, in order; a snapshot's items are the whole table. */
  onItems(items: T[], kind: "events" | "snapshot" | "messages"): void;
  /** Some events are gone: read anew what is shown. */
  onGap?(): void;
  /** From sequence `seq` on every event will come: what was read before may lack the last ones before it. */
  onBegin?(seq: number): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
}

export interface StreamOptions {
  open: (namespace: string) => Socket;
  onState: (state: StreamState) => void;
  /** The session has ended (4401). */
  onStranger: () => void;
  /** After a break: how many events came late, and whether some never will. */
  onBack: (late: number, gap: boolean) => void;
  /** Milliseconds until the next try. */
  backoff?: (tries: number) => number;
}

interface Topic {
  watchers: Set<Watcher>;
  seq: number | null;
}

interface Frame {
  type: string;
  topic?: string;
  code?: string;
  seq?: number;
  items?: unknown[];
  heartbeatSeconds?: number;
  cursors?: Record<string, Record<string, number>>;
}

const STRANGER = 4401;
const AGAIN_MS = 2000;
const LEDGER = /^(namespace$|jobs:|state:|job:)/;

export class Stream {
  private topics = new Map<string, Topic>();
  private socket: Socket | null = null;
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private heartbeatMs = 15_000;
  private wasOpen = false;
  private late: { count: number; gap: boolean } | null = null;
  private namespace = "";
  private state: StreamState = "joining";

  constructor(private options: StreamOptions) {}

  /** Begin, or go to another namespace: what is watched goes along, from how it stands there. */
  start(namespace: string): void {
    this.stop();
    this.namespace = namespace;
    for (const topic of this.topics.values()) topic.seq = null;
    this.wasOpen = false;
    this.connect();
  }

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onclose = null;
      socket.close();
    }
  }

  /** Try now instead of later: the browser is back online, or somebody asked. */
  hurry(): void {
    if (this.state !== "away" || !this.namespace) return;
    clearTimeout(this.timer);
    this.connect();
  }

  watch<T>(name: string, watcher: Watcher<T>, after: number | null = null): () => void {
    let topic = this.topics.get(name);
    if (!topic) {
      topic = { watchers: new Set(), seq: after };
      this.topics.set(name, topic);
      this.subscribe(name, topic);
    }
    topic.watchers.add(watcher as unknown as Watcher);
    return () => this.leave(name, watcher as unknown as Watcher);
  }

  private leave(name: string, watcher: Watcher): void {
    const topic = this.topics.get(name);
    if (!topic?.watchers.delete(watcher) || topic.watchers.size) return;
    this.topics.delete(name);
    if (this.state === "open") this.socket?.send(JSON.stringify({ op: "unsubscribe", topic: name }));
  }

  private subscribe(name: string, topic: Topic): void {
    if (this.state !== "open") return;
    const after = topic.seq === null ? {} : { after: topic.seq };
    this.socket?.send(JSON.stringify({ op: "subscribe", topic: name, ...after }));
  }

  private connect(): void {
    this.turn("joining");
    const socket = this.options.open(this.namespace);
    this.socket = socket;
    socket.onmessage = (event) => this.take(String(event.data));
    socket.onclose = (event) => this.lose(event.code);
    this.listen();
  }

  private lose(code: number): void {
    clearTimeout(this.silence);
    this.socket = null;
    if (code === STRANGER) {
      this.turn("away");
      this.options.onStranger();
      return;
    }
    this.turn("away");
    const wait = (this.options.backoff ?? backoff)(this.tries++);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Two heartbeats that did not come: the connection is dead, whatever TCP believes. */
  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const socket = this.socket;
      if (!socket) return;
      socket.onclose = null;
      socket.close();
      this.lose(0);
    }, this.heartbeatMs * 2.5);
  }

  private take(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.heartbeatSeconds) this.heartbeatMs = frame.heartbeatSeconds * 1000;
    this.listen();
    switch (frame.type) {
      case "hello":
        return this.begin();
      case "events":
      case "snapshot":
      case "messages":
        return this.give(frame, frame.type);
      case "gap":
        return this.miss(frame);
      case "subscribed":
        return this.place(frame);
      case "heartbeat":
        return this.beat(frame);
      case "ended":
        this.miss(frame);
        return this.againLater(frame);
      case "error":
        return this.againLater(frame);
    }
  }

  private begin(): void {
    this.tries = 0;
    this.turn("open");
    if (this.wasOpen) {
      const late = { count: 0, gap: false };
      this.late = late;
      setTimeout(() => {
        this.options.onBack(late.count, late.gap);
        if (this.late === late) this.late = null;
      }, 1200);
    }
    this.wasOpen = true;
    for (const [name, topic] of this.topics) this.subscribe(name, topic);
  }

  private place(frame: Frame): void {
    const topic = this.topics.get(frame.topic ?? "");
    if (!topic || topic.seq !== null || frame.seq === undefined) return;
    topic.seq = frame.seq;
    for (const watcher of [...topic.watchers]) watcher.onBegin?.(frame.seq);
  }

  private give(frame: Frame, kind: "events" | "snapshot" | "messages"): void {
    const topic = this.topics.get(frame.topic ?? "");
    if (!topic) return;
    if (frame.seq !== undefined) topic.seq = frame.seq;
    const items = frame.items ?? [];
    if (this.late && kind === "events") this.late.count += items.length;
    for (const watcher of [...topic.watchers]) watcher.onItems(items, kind);
  }

  private miss(frame: Frame): void {
    const topic = this.topics.get(frame.topic ?? "");
    if (!topic) return;
    if (frame.seq !== undefined) topic.seq = frame.seq;
    if (this.late) this.late.gap = true;
    for (const watcher of [...topic.watchers]) watcher.onGap?.();
  }

  /** What could not be watched now is asked for again; what may not be watched is not. */
  private againLater(frame: Frame): void {
    const name = frame.topic ?? "";
    const topic = this.topics.get(name);
    if (!topic || frame.code !== "unavailable") return;
    const socket = this.socket;
    setTimeout(() => {
      if (this.socket === socket && this.topics.get(name) === topic) this.subscribe(name, topic);
    }, AGAIN_MS);
  }

  /** All of the ledger up to a cursor was told: topics without news resume there too. */
  private beat(frame: Frame): void {
    const seq = frame.cursors?.[this.namespace]?.["ledger"];
    if (seq === undefined) return;
    for (const [name, topic] of this.topics) {
      if (LEDGER.test(name) && topic.seq !== null && topic.seq < seq) topic.seq = seq;
    }
  }

  private turn(state: StreamState): void {
    this.state = state;
    this.options.onState(state);
  }
}

/** Half a second, doubling to fifteen, spread so that a thousand pages do not come back at once. */
export function backoff(tries: number): number {
  const top = Math.min(15_000, 500 * 2 ** tries);
  return top / 2 + Math.random() * (top / 2);
}
