import { expect, test } from "vitest";
import { LANGUAGES, verificationOf } from "../src/verification";

const SENT = {
  headers: { "webhook-id": "7a2f331b", "webhook-timestamp": "1795669513", "webhook-signature": "v1,L8uj=" },
  body: `{"name":"O'Hara"}`,
};

test("every language has a snippet for either signature", () => {
  for (const [language] of LANGUAGES) {
    expect(verificationOf(language, "standard")).not.toBe(verificationOf(language, "plain"));
    expect(verificationOf(language, "plain").toLowerCase()).toContain("sha256");
  }
});

test("a request that was sent is filled in as arguments of a shell, with what was sent to compare", () => {
  const text = verificationOf("shell", "standard", SENT);
  expect(text).toContain("ID=7a2f331b\nTIME=1795669513\n");
  expect(text).toContain(`BODY='{"name":"O'\\''Hara"}'\n`);
  expect(text).toMatch(/# was sent: v1,L8uj=$/);
});

test("the secret is asked for, and never there", () => {
  expect(verificationOf("shell", "plain", SENT)).toContain("SECRET=${SECRET:?");
});
