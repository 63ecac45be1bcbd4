import { assertThrows } from "@std/assert";
import { assertName } from "../../src/events/_names.ts";

Deno.test("assertName() accepts lower-case words, dots and dashes", () => {
  for (const name of ["payments", "a", "payments.eu", "pay-1", "ünïcode", "x_", "1"]) {
    assertName("group", name);
    assertName("consumer", name);
  }
});

Deno.test("assertName() refuses malformed and reserved names, and names the kind", () => {
  const cases: [unknown, string][] = [
    ["_retry", `Cannot use "_retry" as a group name: names that start with "_" are reserved`],
    ["", `Cannot use "" as a group name: it is empty`],
    [5, "give a string"],
    ["a b", "white space"],
    ["a\u0007", "a control character (U+0007)"],
    ["{a}", `it contains "{"`],
    ["\udc00", "half a surrogate pair"],
    ["x".repeat(500), "it has 500 characters"],
  ];
  for (const [name, message] of cases) {
    assertThrows(() => assertName("group", name), TypeError, message);
    assertThrows(() => assertName("consumer", name), TypeError, message.replace("a group name", "a consumer name"));
  }
});
