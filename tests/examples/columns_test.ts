import { assertEquals } from "@std/assert";
import { bold, red, setColorEnabled } from "@std/fmt/colors";
import { pad, width, wrapped } from "../../examples/_columns.ts";

Deno.test("wrapped() breaks a text at spaces, and begins all lines in one column", () => {
  const lines = wrapped("word ".repeat(30).trim() + "\n\nend", "  - ").split("\n");
  assertEquals(lines.map(({ length }) => length), [78, 78, 4, 7]);
  assertEquals([lines[0]!.slice(0, 8), lines[1]!.slice(0, 8), lines[3]], ["  - word", "    word", "    end"]);
  assertEquals(wrapped("x".repeat(76), "  - ").length, 80);
  assertEquals(wrapped(`see ${"x".repeat(90)} there`), `see\n${"x".repeat(90)}\nthere`);
});

Deno.test("colors take no columns", () => {
  setColorEnabled(true);
  try {
    assertEquals(width(red("four")), 4);
    assertEquals(width(pad(bold("four"), 6)), 6);
    const plain = "word ".repeat(40).trim();
    const colored = plain.replaceAll("word", red("word"));
    assertEquals(wrapped(colored, bold("> ")).split("\n").map(width), wrapped(plain, "> ").split("\n").map(width));
  } finally {
    setColorEnabled(!Deno.noColor);
  }
});
