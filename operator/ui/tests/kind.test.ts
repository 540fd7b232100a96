import { expect, test } from "vitest";
import { kindOf, textOf } from "../src/kind";

test("errors that differ by numbers and ids are of one kind", () => {
  const kind = kindOf({ type: "ConnectionError", message: "the bank hung up on card 4711 after 3.5 s\nand more" });
  expect(kind).toBe("ConnectionError: the bank hung up on card # after # s");
  expect(kindOf({ type: "ConnectionError", message: "  the bank hung up on card 1 after 20 s" })).toBe(kind);
  expect(kindOf({ type: "E", message: "job 0199f3c2-0000-7000-8000-000000000000 at 0xdeadbeef" })).toBe("E: job # at #");
});

test("a kind is looked for by its longest text, which stands in each of its errors", () => {
  const error = { type: "ConnectionError", message: "the bank hung up on card 4711 after 3.5 s" };
  const text = textOf(kindOf(error));
  expect(text).toBe("the bank hung up on card");
  expect(error.message).toContain(text);
  expect(textOf("shop.errors.PaymentDeclined: #")).toBe("shop.errors.PaymentDeclined");
  expect(textOf("E: #")).toBe("");
});
