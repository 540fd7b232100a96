// Kinds of errors, as the gateway groups them: numbers and ids are "#", for they differ in what is one fault. A list takes
// only text that stands in the error, so the jobs of a kind are those with its longest text that are of the kind.

import type { ErrorInfo } from "./api/type";

const VARIABLE = /0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b[0-9a-fA-F]{12,}\b|\d+(?:\.\d+)?/g;
const CHARACTERS = 200;
const SHORTEST = 3;
const LONGEST = 256;

/** The kind of an error; the gateway's `error_facet` says the same. */
export function kindOf(error: Pick<ErrorInfo, "type" | "message">): string {
  const line = cut(error.message.trim().split("\n", 1)[0] ?? "", 2 * CHARACTERS);
  return `${error.type}: ${cut(line.replace(VARIABLE, "#"), CHARACTERS)}`;
}

/** The longest text that every error of a kind has; "" if none is long enough to be looked for. */
export function textOf(kind: string): string {
  const colon = kind.indexOf(": ");
  const pieces = colon < 0 ? [kind] : [kind.slice(0, colon), ...kind.slice(colon + 2).split("#")];
  const longest = pieces.reduce((best, piece) => (piece.trim().length > best.length ? piece.trim() : best), "");
  return longest.length < SHORTEST ? "" : cut(longest, LONGEST);
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : [...text].slice(0, most).join("");
}
