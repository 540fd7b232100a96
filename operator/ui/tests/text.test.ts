import { expect, test } from "vitest";
import { readCookie, entriesOf } from "../src/api/client";
import { parts } from "../src/part/code";
import { choose, type Command, fit } from "../src/part/palette";
import { match } from "../src/route";
import { brief, bytes, count, percent, rate, shell } from "../src/text";

test("numbers are brief and true", () => {
  expect([0, 999, 9_999, 10_000, 123_456, 999_999, 4_500_000].map(brief)).toEqual(["0", "999", "9,999", "10k", "123k", "1000k", "4.5M"]);
  expect([rate(0), rate(0.02), rate(0.5), rate(3.25), rate(250)]).toEqual(["0/s", "1.2/min", "30/min", "3.3/s", "250/s"]);
  expect([percent(0, 0), percent(0, 5), percent(1, 5000), percent(1, 30), percent(1, 2)]).toEqual(["–", "0 %", "<0.1 %", "3.3 %", "50 %"]);
  expect([bytes(12), bytes(2048), bytes(3_500_000)]).toEqual(["12 B", "2.0 KiB", "3.3 MiB"]);
  expect([count(1, "job"), count(2000, "job")]).toEqual(["1 job", "2,000 jobs"]);
});

test("what is copied for a shell stays one argument", () => {
  expect(["abc", "a b", "it's", "$(rm)", ""].map(shell)).toEqual(["abc", "'a b'", `'it'\\''s'`, "'$(rm)'", "''"]);
});

test("coloured JSON is the JSON, and names differ from texts", () => {
  const json = JSON.stringify({ a: "x: 1", b: [1.5e-3, true, null], 'q"uote': -2 }, null, 2);
  const found = parts(json);
  expect(found.map(([text]) => text).join("")).toBe(json);
  expect(found.filter(([, kind]) => kind === "k").map(([text]) => text)).toEqual(['"a"', '"b"', '"q\\"uote"']);
  expect(found.filter(([, kind]) => kind === "s").map(([text]) => text)).toEqual(['"x: 1"']);
});

test("the palette finds letters in their order and prefers what begins so", () => {
  const commands = ["Workers", "Overview", "Declarations"].map((text): Command => ({ icon: "jobs", text, run: () => undefined }));
  expect(choose(commands, "wo").map((one) => one.text)[0]).toBe("Workers");
  expect(choose(commands, "dcl").map((one) => one.text)).toEqual(["Declarations"]);
  expect(fit("Workers", "zz")).toBeNull();
  expect(choose(commands, "").length).toBe(3);
});

test("a path is matched part by part", () => {
  expect(match("jobs/:id", "jobs/a%2Fb")).toEqual({ id: "a/b" });
  expect(match("jobs/:id", "jobs")).toBeNull();
  expect(match("jobs/:id", "workers/x")).toBeNull();
});

test("the token against forgery is found with and without the prefix of secure cookies", () => {
  expect(readCookie("a=1; __Host-jetmill-csrf=x%3Dy; b=2", "csrf")).toBe("x=y");
  expect(readCookie("csrf=z", "csrf")).toBe("z");
  expect(readCookie("nocsrf=z", "csrf")).toBeNull();
});

test("parameters that are not there are left out, and lists repeat", () => {
  expect(entriesOf({ a: "", b: null, c: undefined, d: 0, e: ["x", "y"], f: false })).toEqual([
    ["d", "0"],
    ["e", "x"],
    ["e", "y"],
    ["f", "false"],
  ]);
});
