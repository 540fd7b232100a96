// The list of jobs: filters in the address, rows that change as the jobs do, a hundred thousand of them if need be.
//
// What is shown is always an answer of the gateway; events only patch rows that are there and say when to ask anew.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Action, Selection } from "../api/gateway";
import { countActed, countJobs, listJobs } from "../api/gateway";
import type { JobEvent, JobRow, State } from "../api/type";
import { filterParams, type Filter, isEmpty, mayMatch, momentOf, parseFilter, parseWords, selectionOf, SORTS } from "../filter";
import { useThrottle } from "../load";
import { Copy } from "../part/code";
import { Confirm } from "../part/dialog";
import { Broken, Empty, Waiting } from "../part/empty";
import { Icon } from "../part/icon";
import { StateBadge, STATES } from "../part/state";
import { Ago, Span } from "../part/time";
import { type Column, Virtual } from "../part/virtual";
import { go, href, query } from "../route";
import { actOnAll, actOnMany, allowed, applies, explain } from "../store/act";
import { jobNames } from "../store/glance";
import { gaps, useLive } from "../store/live";
import { attempt } from "../store/notice";
import { namespace } from "../store/session";
import { count, shell, short, whole } from "../text";
import { merge, patch } from "../rows";

const PAGE = 100;
const FRESHEN_MS = 1000;

interface List {
  rows: JobRow[];
  cursor: string | null;
  busy: boolean;
  error: unknown;
}

function withMoments(filter: Filter): Filter {
  return { ...filter, createdAfter: momentOf(filter.createdAfter, Date.now()), createdBefore: momentOf(filter.createdBefore, Date.now()) };
}

function askParams(filter: Filter): URLSearchParams {
  const params = filterParams(withMoments(filter));
  params.delete("sort"); // the order is the list's alone
  return params;
}

/** Rows of a filter: the first page at once, more when they are wanted, the first anew when something happened. */
function useList(filter: Filter, name: string) {
  const key = `${name}?${filterParams(filter)}`;
  const [list, setList] = useState<List>({ rows: [], cursor: null, busy: true, error: null });
  const [fresh, setFresh] = useState<Set<string>>(new Set());
  const current = useRef(key);
  const asking = useRef(false);
  /** The newest event that was heard of: what is read after it is not to be older, and lists lag behind the stream. */
  const heard = useRef(0);
  current.current = key;

  const first = useCallback(
    async (quiet: boolean) => {
      if (!quiet) setList({ rows: [], cursor: null, busy: true, error: null });
      try {
        const params = askParams(filter);
        params.set("sort", filter.sort);
        params.set("limit", String(PAGE));
        if (heard.current) params.set("after", String(heard.current));
        const { body } = await listJobs(name, params);
        if (current.current !== key) return;
        setList((before) => {
          const known = new Set(before.rows.map((row) => row.id));
          const added = quiet && known.size ? body.items.filter((row) => !known.has(row.id)).map((row) => row.id) : [];
          setFresh(new Set(added));
          return { ...merge(before, body.items, body.nextCursor ?? null), busy: false, error: null };
        });
      } catch (error) {
        if (current.current === key) setList((before) => ({ ...before, busy: false, error }));
      }
    },
    [key],
  );
  const more = useCallback(async () => {
    if (asking.current || !list.cursor) return;
    asking.current = true;
    try {
      const params = askParams(filter);
      params.set("sort", filter.sort);
      params.set("limit", String(PAGE * 2));
      params.set("cursor", list.cursor);
      const { body } = await listJobs(name, params);
      if (current.current !== key) return;
      setList((before) => {
        const known = new Set(before.rows.map((row) => row.id));
        return { ...before, rows: [...before.rows, ...body.items.filter((row) => !known.has(row.id))], cursor: body.nextCursor ?? null };
      });
    } catch (error) {
      setList((before) => ({ ...before, error }));
    } finally {
      asking.current = false;
    }
  }, [key, list.cursor]);
  useEffect(() => {
    void first(false);
  }, [first]);
  return { list, setList, first, more, fresh, heard };
}

export function Jobs() {
  const filter = parseFilter(query.value);
  const name = namespace.value;
  const { list, setList, first, more, fresh, heard } = useList(filter, name);
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [waiting, setWaiting] = useState(0);
  const [total, setTotal] = useState<number | null>(null);
  const top = useRef(true);
  const key = filterParams(filter).toString();
  const recount = useThrottle(() => void countJobs(name, askParams(filter)).then(setTotal, () => setTotal(null)), 3000);
  const freshen = useThrottle(() => {
    setWaiting(0);
    void first(true);
  }, FRESHEN_MS);

  useEffect(() => {
    setSelected(new Set());
    setTotal(null);
    recount();
  }, [key]);
  useEffect(() => {
    if (gaps.value) freshen();
  }, [gaps.value]);
  useLive<JobEvent>(filter.job.length === 1 ? `jobs:${filter.job[0]}` : "namespace", {
    onItems(events) {
      for (const event of events) heard.current = Math.max(heard.current, event.seq);
      setList((before) => ({ ...before, rows: patch(before.rows, events) }));
      const coming = events.filter((event) => mayMatch(filter, event)).length;
      if (!coming) return;
      recount();
      if (top.current) freshen();
      else setWaiting((number) => number + coming);
    },
    onGap: freshen,
    onBegin(seq) {
      heard.current = Math.max(heard.current, seq);
      freshen();
    },
  });

  const toggle = (id: string) =>
    setSelected((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  const sortBy = (field: string) => {
    const next = filter.sort === `-${field}` && field === "created" ? field : `-${field}`;
    go("jobs", { params: filterParams({ ...filter, sort: next }) });
  };
  const all = list.rows.length > 0 && list.rows.every((row) => selected.has(row.id));
  const columns: Column<JobRow>[] = [
    {
      key: "select",
      width: "18px",
      head: (
        <input
          type="checkbox"
          aria-label="Select all rows that are loaded"
          checked={all}
          onChange={() => setSelected(all ? new Set() : new Set(list.rows.map((row) => row.id)))}
        />
      ),
      cell: (row) => <input type="checkbox" aria-label={`Select ${row.id}`} checked={selected.has(row.id)} onChange={() => toggle(row.id)} />,
    },
    { key: "state", width: "112px", head: "State", cell: (row) => <StateBadge state={row.state} reason={row.reason} /> },
    { key: "job", width: "minmax(120px, 1fr)", head: "Job", cell: (row) => <a href={href(`jobs/${row.id}`)} title={row.id}>{row.job}</a> },
    { key: "id", width: "100px", head: "Id", cell: (row) => <span class="mono faint" title={row.id}>{short(row.id)}</span> },
    { key: "detail", width: "minmax(160px, 2fr)", head: "Detail", cell: (row) => <Detail row={row} /> },
    { key: "attempt", width: "64px", head: "Attempt", cell: (row) => <span class="number">{row.attempt}{row.crashes ? <span class="bad-text" title={`${row.crashes} worker crashes`}> +{row.crashes}</span> : null}</span> },
    { key: "took", width: "84px", head: "Ran for", cell: (row) => (row.started ? <Span from={row.started} to={row.state === "running" || row.state === "cancelling" ? null : (row.ended ?? row.updated)} /> : <span class="faint">–</span>) },
    { key: "updated", width: "96px", head: "Changed", sort: filter.sort === "-updated" ? "descending" : undefined, onSort: () => sortBy("updated"), cell: (row) => <Ago at={row.updated} /> },
    {
      key: "created",
      width: "96px",
      head: "Created",
      sort: filter.sort === "-created" ? "descending" : filter.sort === "created" ? "ascending" : undefined,
      onSort: () => sortBy("created"),
      cell: (row) => <Ago at={row.created} />,
    },
  ];

  return (
    <>
      <div class="title">
        <h1>Jobs</h1>
        <span class="soft number" role="status">{total === null ? "" : count(total, "job")}</span>
        <div class="end">
          <Copy text={commandOf(filter, name)} label="Copy as a command">as command</Copy>
        </div>
      </div>
      <section class="sheet" aria-label="Jobs">
        <header>
          <FilterBar filter={filter} />
        </header>
        {waiting > 0 && (
          <div class="row inner">
            <button type="button" class="button slim first" onClick={() => { document.querySelector(".vt")?.scrollTo({ top: 0 }); freshen(); }}>
              {count(waiting, "change")} since: show
            </button>
          </div>
        )}
        {list.error && !list.rows.length ? (
          <div class="inner"><Broken error={list.error} again={() => void first(false)} /></div>
        ) : list.busy ? (
          <Waiting lines={9} />
        ) : !list.rows.length ? (
          <Nothing filter={filter} />
        ) : (
          <Virtual
            label="Jobs"
            columns={columns}
            rows={list.rows}
            idOf={(row) => row.id}
            selected={selected}
            fresh={fresh}
            least="960px"
            onEnd={more}
            onOpen={(row) => go(`jobs/${row.id}`)}
            onToggle={(row) => toggle(row.id)}
            onScroll={(at) => (top.current = at < 20)}
            foot={list.cursor ? "More is coming …" : `That is all: ${count(list.rows.length, "job")}`}
          />
        )}
      </section>
      {selected.size > 0 && <Bulk rows={list.rows.filter((row) => selected.has(row.id))} filter={filter} more={all && total !== null && total > list.rows.length ? total : null} onDone={() => { setSelected(new Set()); freshen(); }} />}
    </>
  );
}

function Detail({ row }: { row: JobRow }) {
  if (row.error && ["failed", "retrying", "discarded"].includes(row.state)) {
    return (
      <span class="soft" title={`${row.error.type}: ${row.error.message}`}>
        {row.reason && row.reason !== "exhausted" ? <b>{row.reason} </b> : null}
        <span class="mono">{row.error.type.split(".").at(-1)}</span> {row.error.message}
      </span>
    );
  }
  if (row.state === "scheduled" || row.state === "retrying") return <span class="soft">due <Ago at={row.due} /></span>;
  if (row.reason) return <span class="soft">{row.reason}</span>;
  const labels = Object.entries(row.labels ?? {});
  return (
    <span class="row">
      {labels.slice(0, 3).map(([name, value]) => (
        <span key={name} class="chip">{name}={value}</span>
      ))}
      {row.user && <span class="faint">by {row.user}</span>}
    </span>
  );
}

function Nothing({ filter }: { filter: Filter }) {
  if (isEmpty(filter)) {
    return (
      <Empty icon="jobs" title="No job yet">
        <p>Enqueue one and it appears here at once:</p>
        <pre class="code" tabIndex={0}>{`jetmill job run ${jobNames.value[0] ?? "JOB"} --payload '{}'`}</pre>
      </Empty>
    );
  }
  return (
    <Empty icon="search" title="No job fits this filter">
      <p>Jobs that ended well are kept for a day and failed ones for two weeks, unless their Job says otherwise.</p>
      <a class="button" href={href("jobs")}>Clear the filter</a>
    </Empty>
  );
}

function FilterBar({ filter }: { filter: Filter }) {
  const [words, setWords] = useState("");
  const set = (change: Partial<Filter>) => go("jobs", { params: filterParams({ ...filter, ...change }) });
  const chips: [string, () => void][] = [
    ...filter.reason.map((reason): [string, () => void] => [`reason ${reason}`, () => set({ reason: filter.reason.filter((one) => one !== reason) })]),
    ...filter.label.map((label): [string, () => void] => [label, () => set({ label: filter.label.filter((one) => one !== label) })]),
    ...(filter.schedule ? [[`schedule ${filter.schedule}`, () => set({ schedule: "" })] as [string, () => void]] : []),
    ...(filter.user ? [[`by ${filter.user}`, () => set({ user: "" })] as [string, () => void]] : []),
    ...(filter.error ? [[`error has “${filter.error}”`, () => set({ error: "" })] as [string, () => void]] : []),
    ...(filter.errorGroup ? [[`errors like “${filter.errorGroup}”`, () => set({ errorGroup: "" })] as [string, () => void]] : []),
    ...(filter.createdAfter ? [[`since ${filter.createdAfter}`, () => set({ createdAfter: "" })] as [string, () => void]] : []),
    ...(filter.createdBefore ? [[`until ${filter.createdBefore}`, () => set({ createdBefore: "" })] as [string, () => void]] : []),
    ...(filter.job.length > 1 ? filter.job.map((job): [string, () => void] => [`Job ${job}`, () => set({ job: filter.job.filter((one) => one !== job) })]) : []),
  ];
  return (
    <div class="filters grow">
      <form
        class="grow words"
        onSubmit={(event) => {
          event.preventDefault();
          set(parseWords(words, filter));
          setWords("");
        }}
      >
        <input
          type="search"
          aria-label="Filter: state:, job:, label:, user:, error:, since:, or words of an error"
          placeholder="error text, state:failed, label:tenant=acme, user:ada, since:1h"
          value={words}
          onInput={(event) => setWords(event.currentTarget.value)}
        />
      </form>
      <select aria-label="Job" value={filter.job.length === 1 ? filter.job[0] : ""} onChange={(event) => set({ job: event.currentTarget.value ? [event.currentTarget.value] : [] })}>
        <option value="">Every Job</option>
        {[...new Set([...jobNames.value, ...filter.job])].map((job) => (
          <option key={job} value={job}>{job}</option>
        ))}
      </select>
      <select aria-label="State" value={filter.state.length === 1 ? filter.state[0] : filter.state.length ? "several" : ""} onChange={(event) => set({ state: event.currentTarget.value ? [event.currentTarget.value as State] : [] })}>
        <option value="">Every state</option>
        {filter.state.length > 1 && <option value="several">{filter.state.join(", ")}</option>}
        {STATES.map((state) => (
          <option key={state} value={state}>{state}</option>
        ))}
      </select>
      <select aria-label="Order" value={filter.sort} onChange={(event) => set({ sort: event.currentTarget.value })}>
        {Object.entries(SORTS).map(([value, text]) => (
          <option key={value} value={value}>{text}</option>
        ))}
      </select>
      {chips.map(([text, remove]) => (
        <span key={text} class="chip">
          {text}
          <button type="button" aria-label={`Remove: ${text}`} onClick={remove}>×</button>
        </span>
      ))}
      {!isEmpty(filter) && (
        <a class="button plain slim" href={href("jobs")}>Clear</a>
      )}
    </div>
  );
}

const VERBS: [Action, string, boolean][] = [
  ["cancel", "Cancel", true],
  ["retry", "Retry", false],
  ["discard", "Discard", true],
];

interface BulkProps {
  rows: JobRow[];
  filter: Filter;
  /** Jobs that match, when more do than are loaded; null otherwise. */
  more: number | null;
  onDone: () => void;
}

function Bulk({ rows, filter, more, onDone }: BulkProps) {
  const [asked, setAsked] = useState<Action | null>(null);
  const [every, setEvery] = useState(false);
  const [most, setMost] = useState(0);
  const [selection, setSelection] = useState<Selection>({});
  const fit = (action: Action) => rows.filter((row) => applies(action, row.state));
  const begin = async (action: Action) => {
    if (!every) {
      setMost(fit(action).length);
      setAsked(action);
      return;
    }
    await attempt(async () => {
      const chosen = selectionOf(withMoments(filter)); // of this moment: what is confirmed is what was counted
      setSelection(chosen);
      setMost(await countActed(action, chosen, namespace.value));
      setAsked(action);
    });
  };
  return (
    <div class="bulk" role="region" aria-label="Selected jobs">
      <strong>{every && more !== null ? `All ${whole(more)} that match` : `${whole(rows.length)} selected`}</strong>
      {more !== null && !every && (
        <button type="button" class="button plain slim" onClick={() => setEvery(true)}>
          Select all {whole(more)} that match
        </button>
      )}
      {VERBS.map(([action, verb, danger]) => (
        <button
          key={action}
          type="button"
          class={`button slim ${danger ? "danger" : ""}`}
          disabled={!allowed(action) || (!every && !fit(action).length)}
          title={allowed(action) ? undefined : `You may not ${action} jobs in this namespace`}
          onClick={() => void begin(action)}
        >
          <Icon name={action} />
          {verb} {every ? "" : fit(action).length || ""}
        </button>
      ))}
      <button type="button" class="button plain slim" onClick={onDone}>Clear</button>
      {asked && (
        <Confirm
          title={`${asked[0]?.toUpperCase()}${asked.slice(1)} ${count(most, "job")}?`}
          verb={`${asked[0]?.toUpperCase()}${asked.slice(1)}`}
          danger={asked !== "retry"}
          word={most >= 50 ? String(most) : undefined}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            if (every) await actOnAll(asked, selection, most);
            else await actOnMany(asked, fit(asked).map((row) => row.id));
            onDone();
          }}
        >
          <p>{explain(asked)}</p>
          {every && <p>All that match the filter and are in a state for it, done in the background by the gateway.</p>}
          {!every && most < rows.length && <p>{count(rows.length - most, "selected job")} of another state stay as they are.</p>}
        </Confirm>
      )}
    </div>
  );
}

function commandOf(filter: Filter, name: string): string {
  const words = ["jetmill", "job", "list", "--namespace", name];
  for (const job of filter.job) words.push("--job", job);
  for (const state of filter.state) words.push("--state", state);
  for (const reason of filter.reason) words.push("--reason", reason);
  return words.map(shell).join(" ");
}
