// The bus: events as they come, and those that are kept, by pattern and text; one of them whole.
//
// The list is read from the gateway and then followed from its newest event on, so that nothing falls between the two.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type EventRow, type EventSearch, getEvent, listEvents } from "../api/event";
import { momentOf } from "../filter";
import { useLoad } from "../load";
import { Copy, Json } from "../part/code";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { Fact } from "../part/piece";
import { Ago, Clock } from "../part/time";
import { type Column, Virtual } from "../part/virtual";
import { href, path, query, refine } from "../route";
import { gaps, useLive } from "../store/live";
import { namespace } from "../store/session";
import { count, shell } from "../text";
import { append, gist, isPattern, matchesText, prepend } from "../tail";
import { Abandoned } from "./abandoned";

const PAGE = 100;
const BUFFER = 2000;

interface List {
  rows: EventRow[];
  cursor: string | null;
  busy: boolean;
  error: unknown;
}

const SPANS = [
  ["15min", "last 15 minutes"],
  ["1h", "last hour"],
  ["24h", "last day"],
  ["", "all that are kept"],
] as const;

interface Wanted {
  type: string;
  text: string;
  since: string;
}

function wantedOf(params: URLSearchParams): Wanted {
  return { type: params.get("type") || "*", text: params.get("text") ?? "", since: params.get("since") ?? "" };
}

function searchOf(wanted: Wanted): EventSearch {
  return { ...wanted, since: momentOf(wanted.since, Date.now()) };
}

/** What is kept, and what comes; `hold` keeps what comes aside. */
function useTail(wanted: Wanted, name: string, hold: boolean) {
  const key = `${name}/${wanted.type}/${wanted.text}/${wanted.since}`;
  const [list, setList] = useState<List>({ rows: [], cursor: null, busy: true, error: null });
  const [aside, setAside] = useState<{ rows: EventRow[]; more: number }>({ rows: [], more: 0 });
  const [follow, setFollow] = useState<{ key: string; after: number | null } | null>(null);
  const [lost, setLost] = useState(false);
  const [fresh, setFresh] = useState<Set<string>>(new Set());
  const current = useRef(key);
  current.current = key;

  const first = useCallback(async () => {
    try {
      const page = await listEvents(name, searchOf(wanted), { limit: PAGE });
      if (current.current !== key) return;
      setList({ rows: page.items, cursor: page.nextCursor ?? null, busy: false, error: null });
      setFollow((before) => before ?? { key, after: page.items[0]?.seq ?? null });
    } catch (error) {
      if (current.current !== key) return;
      setList((before) => ({ ...before, busy: false, error }));
      setFollow((before) => before ?? { key, after: null }); // what comes is shown all the same
    }
  }, [key]);
  const more = useCallback(async () => {
    if (!list.cursor) return;
    setList((before) => ({ ...before, busy: true }));
    try {
      const page = await listEvents(name, searchOf(wanted), { limit: PAGE * 2, cursor: list.cursor });
      if (current.current === key) setList((before) => ({ rows: append(before.rows, page.items), cursor: page.nextCursor ?? null, busy: false, error: null }));
    } catch (error) {
      if (current.current === key) setList((before) => ({ ...before, busy: false, error }));
    }
  }, [key, list.cursor]);
  const take = useCallback((came: EventRow[]) => {
    setFresh(new Set(came.map((row) => String(row.seq))));
    setList((before) => {
      const { rows, cut } = prepend(before.rows, came);
      return { ...before, rows, cursor: cut ? String((rows.at(-1)?.seq ?? 1) - 1) : before.cursor };
    });
  }, []);
  useEffect(() => {
    setList({ rows: [], cursor: null, busy: true, error: null });
    setAside({ rows: [], more: 0 });
    setFollow(null);
    setLost(false);
    setFresh(new Set());
    void first();
  }, [key]);
  const anew = () => {
    setLost(true);
    void first();
  };
  useEffect(() => {
    if (gaps.value) anew();
  }, [gaps.value]);
  useLive<EventRow>(
    follow?.key === key ? `event:${wanted.type}` : null,
    {
      onItems(items) {
        const came = items.filter((row) => matchesText(row, wanted.text));
        if (!came.length) return;
        if (!hold) return take(came);
        setAside((before) => {
          const rows = [...before.rows, ...came];
          return { rows: rows.slice(-BUFFER), more: before.more + Math.max(0, rows.length - BUFFER) };
        });
      },
      onGap: anew,
    },
    follow?.after ?? null,
  );
  const release = () => {
    if (aside.more) void first();
    else take(aside.rows);
    setAside({ rows: [], more: 0 });
  };
  return { list, more, first, fresh, waiting: aside.rows.length + aside.more, release, lost, forgive: () => setLost(false) };
}

export function Events() {
  const wanted = wantedOf(query.value);
  const name = namespace.value;
  const [paused, setPaused] = useState(false);
  const { list, more, first, fresh, waiting, release, lost, forgive } = useTail(wanted, name, paused);
  const seq = query.value.get("seq");
  const pane = useRef<HTMLDivElement>(null);
  const open = (row: EventRow) => {
    refine({ seq: String(row.seq) }, { replace: true });
    if (window.matchMedia("(max-width: 1080px)").matches) requestAnimationFrame(() => pane.current?.scrollIntoView({ block: "nearest" }));
  };
  const columns: Column<EventRow>[] = [
    { key: "time", width: "92px", head: "Time", cell: (row) => <Clock at={row.time} /> },
    {
      key: "type",
      width: "minmax(150px, 1fr)",
      head: "Type",
      cell: (row) => (
        <a class="mono cut" href={href(path.value, seqParams(row))} onClick={(event) => { event.preventDefault(); open(row); }}>{row.type}</a>
      ),
    },
    { key: "subject", width: "minmax(90px, 0.7fr)", head: "Subject", cell: (row) => <span class="soft" title={row.event?.subject}>{row.event?.subject ?? ""}</span> },
    { key: "data", width: "minmax(180px, 2fr)", head: "Data", cell: (row) => <span class="mono faint small">{gist(row)}</span> },
  ];
  return (
    <>
      <div class="title">
        <h1>Events</h1>
        <span class="live" data-state={paused ? "joining" : "open"}>
          <i class="dot" />
          {paused ? "paused" : "as they come"}
        </span>
        <div class="end">
          <Copy text={`jetmill event tail ${shell(wanted.type)} --namespace ${shell(name)}`} label="Copy as a command">as command</Copy>
          <button
            type="button"
            class="button"
            aria-pressed={paused}
            onClick={() => {
              if (paused) release();
              setPaused(!paused);
            }}
          >
            <Icon name={paused ? "play" : "pause"} />
            {paused ? "Go on" : "Pause"}
          </button>
        </div>
      </div>
      {lost && (
        <div class="notice" data-tone="warn" role="status">
          <Icon name="plug" />
          <p class="grow">Some events were not told as they came: there were too many, or the connection was away. The list was read anew, so that it has all that are kept.</p>
          <button type="button" class="button slim" onClick={forgive}>Dismiss</button>
        </div>
      )}
      {list.error && list.rows.length > 0 ? <Broken error={list.error} again={() => void first()} /> : null}
      <div class="grid lead">
        <section class="sheet" aria-label="Events">
          <header><Search wanted={wanted} /></header>
          {paused && waiting > 0 && (
            <div class="inner">
              <button type="button" class="button slim first" onClick={release}>{count(waiting, "event")} since: show</button>
            </div>
          )}
          {list.error && !list.rows.length ? (
            <div class="inner"><Broken error={list.error} again={() => void first()} /></div>
          ) : list.busy && !list.rows.length ? (
            <Waiting lines={9} />
          ) : !list.rows.length ? (
            <Nothing wanted={wanted} cursor={list.cursor} onMore={more} />
          ) : (
            <Virtual
              label="Events"
              columns={columns}
              rows={list.rows}
              idOf={(row) => String(row.seq)}
              selected={seq ? new Set([seq]) : undefined}
              fresh={fresh}
              least="620px"
              onOpen={open}
              onToggle={open}
              foot={
                list.cursor ? (
                  <button type="button" class="button slim" disabled={list.busy} onClick={() => void more()}>{list.busy ? "Looking …" : "Look further back"}</button>
                ) : (
                  `That is all that is kept: ${count(list.rows.length, "event")}`
                )
              }
            />
          )}
        </section>
        <div ref={pane}><One seq={seq} rows={list.rows} /></div>
      </div>
      <Abandoned />
    </>
  );
}

function seqParams(row: EventRow): URLSearchParams {
  const params = new URLSearchParams(query.value);
  params.set("seq", String(row.seq));
  return params;
}

function Nothing({ wanted, cursor, onMore }: { wanted: Wanted; cursor: string | null; onMore: () => void }) {
  const any = wanted.type === "*" && !wanted.text;
  return (
    <Empty icon="bolt" title={any ? "No event yet" : "No event fits"}>
      <p>{any ? "The transitions of jobs come by themselves; applications publish their own:" : "What comes and fits appears here by itself."}</p>
      {any && <pre class="code" tabIndex={0}>{"jetmill event publish order.placed --subject 4711 --data '{\"total\": 12}'"}</pre>}
      {cursor && <button type="button" class="button" onClick={onMore}>Look further back</button>}
    </Empty>
  );
}

function Search({ wanted }: { wanted: Wanted }) {
  const [type, setType] = useState(wanted.type);
  const [text, setText] = useState(wanted.text);
  useEffect(() => setType(wanted.type), [wanted.type]);
  useEffect(() => setText(wanted.text), [wanted.text]);
  const good = isPattern(type.trim() || "*");
  return (
    <form
      class="filters grow"
      onSubmit={(event) => {
        event.preventDefault();
        if (good) refine({ type: type.trim() === "*" ? null : type.trim(), text: text.trim() || null, seq: null });
      }}
    >
      <label class="pattern">
        <span class="unseen">Type: one, all below one as doc.*, or *</span>
        <input
          type="text"
          class="mono"
          list="types"
          placeholder="order.*"
          value={type}
          aria-invalid={!good}
          title={good ? undefined : "A type such as doc.created, all below one as doc.*, or *"}
          onInput={(event) => setType(event.currentTarget.value)}
          autoComplete="off"
          spellcheck={false}
        />
        <datalist id="types">
          {["*", "job.*", "job.failed", "schedule.*", "webhook.*", "worker.lost"].map((one) => <option key={one} value={one} />)}
        </datalist>
      </label>
      <label class="words">
        <span class="unseen">Text somewhere in the event</span>
        <input type="search" placeholder="text somewhere in it" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <select aria-label="How far back" value={wanted.since} onChange={(event) => refine({ since: event.currentTarget.value || null })}>
        {SPANS.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
      </select>
      <button type="submit" class="button slim" disabled={!good}>Search</button>
      {(wanted.type !== "*" || wanted.text || wanted.since) && <a class="button plain slim" href={href("events")}>Clear</a>}
    </form>
  );
}

/** One event whole: of the list, or asked for, so that its address can be sent to somebody. */
function One({ seq, rows }: { seq: string | null; rows: EventRow[] }) {
  const held = rows.find((row) => String(row.seq) === seq) ?? null;
  const name = namespace.value;
  const [kept, setKept] = useState<EventRow | null>(held);
  useEffect(() => {
    if (held) setKept(held);
  }, [held]);
  const here = held ?? (kept && String(kept.seq) === seq ? kept : null);
  const { data, error } = useLoad(seq && !here ? `event/${name}/${seq}` : null, (signal) => getEvent(seq ?? "", name, signal));
  const row = here ?? data;
  if (!seq) {
    return (
      <section class="sheet wide-only">
        <p class="inner faint">Choose an event to see it whole.</p>
      </section>
    );
  }
  if (error && !row) return <Broken error={error} />;
  if (!row) return <section class="sheet"><Waiting lines={6} /></section>;
  const event = row.event;
  const job = row.type.startsWith("job.") ? (event?.data as { id?: string } | null | undefined)?.id : undefined;
  return (
    <section class="sheet" aria-label="The chosen event">
      <header>
        <h2 class="mono break">{row.type}</h2>
        <div class="end">
          <Copy text={JSON.stringify(event ?? row, null, 2)} label="Copy the event" />
          <button type="button" class="button plain slim" aria-label="Close the event" onClick={() => refine({ seq: null }, { replace: true })}><Icon name="close" /></button>
        </div>
      </header>
      <div class="inner stack">
        <dl class="pairs">
          <Fact name="Subject">{event?.subject}</Fact>
          <Fact name="Source">{event?.source && <span class="mono small">{event.source}</span>}</Fact>
          <Fact name="By">{event?.user}</Fact>
          <Fact name="Happened">{event?.time && <><Ago at={event.time} /> <span class="faint small"><Clock at={event.time} /></span></>}</Fact>
          <Fact name="Stored"><Ago at={row.time} /> <span class="faint small">as number {row.seq}</span></Fact>
          <Fact name="Job">{job && <a href={href(`jobs/${job}`)} class="mono small">{job}</a>}</Fact>
        </dl>
        {event ? <Json value={event} label="Event" /> : <p class="soft">What lies there is no CloudEvent.</p>}
        <p class="small"><a href={href("events", new URLSearchParams({ type: row.type }))}>Others of this type</a></p>
      </div>
    </section>
  );
}
