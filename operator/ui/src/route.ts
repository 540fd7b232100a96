// Where the page is: the path below <base href> and the query, as signals. The address says all that a list shows,
// so that it can be sent to somebody, reloaded, and left with the browser's own back button.

import { computed, signal } from "@preact/signals";

/** Where the page's root is. Read once: the gateway writes <base> relative to the first address, and addresses change. */
let root = "/";
const base = () => root;

function read(): { path: string; query: string } {
  const prefix = base();
  const { pathname, search } = window.location;
  const path = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : "";
  return { path: path.replace(/\/+$/, ""), query: search.replace(/^\?/, "") };
}

const place = signal<{ path: string; query: string }>({ path: "", query: "" });

/** Without the first and last slash; "" is the overview. */
export const path = computed(() => place.value.path);
export const query = computed(() => new URLSearchParams(place.value.query));

/** The address of a place of the page, to be used as an href. */
export function href(to: string, params?: URLSearchParams | string): string {
  const text = params ? params.toString() : "";
  return base() + to + (text ? `?${text}` : "");
}

export function go(to: string, options: { params?: URLSearchParams | string; replace?: boolean } = {}): void {
  const address = href(to, options.params);
  if (address === window.location.pathname + window.location.search) return;
  if (options.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  place.value = read();
  if (!options.replace) window.scrollTo(0, 0);
}

/** Change the query in place: an empty value takes the key out. */
export function refine(changes: Record<string, string | null>, options: { replace?: boolean } = {}): void {
  const params = new URLSearchParams(query.value);
  for (const [key, value] of Object.entries(changes)) {
    if (value) params.set(key, value);
    else params.delete(key);
  }
  go(path.value, { params, ...options });
}

/** Follow the browser's history, and take clicks on our own links without loading the page anew. */
export function followAddress(): void {
  root = new URL(".", document.baseURI).pathname;
  const element = document.querySelector("base");
  if (element) element.href = root;
  place.value = read();
  window.addEventListener("popstate", () => {
    place.value = read();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.dataset["outside"] !== undefined) return;
    const to = new URL(link.href);
    if (to.origin !== window.location.origin || !to.pathname.startsWith(base())) return;
    const rest = to.pathname.slice(base().length);
    if (rest.startsWith("api/") || rest.startsWith("docs")) return;
    event.preventDefault();
    go(rest, { params: to.search.slice(1) });
  });
}

/** Match a path against `jobs/:id`; null if it is another, else what stands for the names. */
export function match(pattern: string, at: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const found = at.split("/");
  if (wanted.length !== found.length) return null;
  const names: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = found[index] ?? "";
    if (part.startsWith(":")) names[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return null;
  }
  return names;
}
