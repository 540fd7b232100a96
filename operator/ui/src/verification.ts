// How a receiver verifies a request, in the words of three languages. With a request that was sent, its own id, time and
// body are filled in, so that one can see the signature come out; the secret never is, for the page does not know it. Pure.

import { shell } from "./text";

export type Signature = "standard" | "plain";
export type Language = "python" | "node" | "shell";

export const LANGUAGES: [Language, string][] = [
  ["python", "Python"],
  ["node", "Node"],
  ["shell", "Shell"],
];

/** One request as it was sent. */
export interface Sent {
  headers: Record<string, string>;
  body: string;
}

const PYTHON = {
  standard: `# pip install standardwebhooks
from standardwebhooks import Webhook

# The raw body, before anything parses it.
# Raises if it is forged, or older than 5 minutes.
# A SECRET without whsec_ in front is given as bytes.
event = Webhook(SECRET).verify(body, headers)`,
  plain: `import hashlib, hmac

# The raw body, before anything parses it.
wanted = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
signatures = headers["x-signature"].split(",")
assert any(hmac.compare_digest(one, wanted) for one in signatures)`,
};

const NODE = {
  standard: `// npm install standardwebhooks
import { Webhook } from "standardwebhooks";

// The raw body, before anything parses it.
// Throws if it is forged, or older than 5 minutes.
// A SECRET without whsec_ in front is given with { format: "raw" }.
const event = new Webhook(SECRET).verify(body, headers);`,
  plain: `import { createHmac, timingSafeEqual } from "node:crypto";

// The raw body, before anything parses it.
const wanted = Buffer.from("sha256=" + createHmac("sha256", SECRET).update(body).digest("hex"));
const fits = headers["x-signature"].split(",").map((one) => Buffer.from(one))
  .some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
if (!fits) throw new Error("forged");`,
};

export function verificationOf(language: Language, signature: Signature, sent: Sent | null = null): string {
  if (language === "python") return PYTHON[signature];
  if (language === "node") return NODE[signature];
  return signature === "plain" ? plainShell(sent) : standardShell(sent);
}

const SECRET_LINE = 'SECRET=${SECRET:?the secret that both sides know}';

function standardShell(sent: Sent | null): string {
  const { headers, body } = sent ?? { headers: {}, body: "" };
  return [
    SECRET_LINE,
    `ID=${sent ? shell(headers["webhook-id"] ?? "") : "…  # the header webhook-id"}`,
    `TIME=${sent ? shell(headers["webhook-timestamp"] ?? "") : "…  # the header webhook-timestamp"}`,
    `BODY=${sent ? shell(body) : "…  # byte for byte"}`,
    'case $SECRET in whsec_*) decode="base64 -d" ;; *) decode=cat ;; esac',
    'KEY=$(printf %s "${SECRET#whsec_}" | $decode | od -An -v -tx1 | tr -d " \\n")',
    'printf "v1,%s\\n" "$(printf %s.%s.%s "$ID" "$TIME" "$BODY" |',
    '  openssl dgst -sha256 -mac HMAC -macopt hexkey:"$KEY" -binary | base64)"',
    ...(sent ? [`# was sent: ${headers["webhook-signature"] ?? "no signature"}`] : []),
  ].join("\n");
}

function plainShell(sent: Sent | null): string {
  return [
    SECRET_LINE,
    `BODY=${sent ? shell(sent.body) : "…  # byte for byte"}`,
    'printf "sha256=%s\\n" "$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d" " -f1)"',
    ...(sent ? [`# was sent: ${sent.headers["x-signature"] ?? "no signature"}`] : []),
  ].join("\n");
}
