import { assert, assertEquals, assertThrows } from "@std/assert";
import { partitionOf } from "../../src/broker/mod.ts";
import { root } from "../structure/_imports.ts";

/** Subjects and their CRC-32, as Python's `zlib.crc32(subject.encode())` gives it. */
const VECTORS: readonly (readonly [subject: string, crc32: number])[] = [
  ["", 0],
  ["a", 0xE8B7BE43],
  ["123456789", 0xCBF43926],
  ["auction-1", 0xA7964984],
  ["auction-2", 0x3E9F183E],
  ["0192f0c1-7b3a-7c4e-8f21-5d6e7f809a1b", 0x5A61BD08],
  ["café", 0x98AD42B5],
  ["Größe", 0x946E9015],
  ["競り", 0x2A11CB56],
  ["🎉", 0x6009B837],
];

Deno.test("partitionOf() is the CRC-32 of the subject's UTF-8 bytes, modulo the number of partitions", () => {
  for (const [subject, crc] of VECTORS) {
    for (const partitions of [1, 2, 7, 8, 64, 1_000, 1_024]) {
      assertEquals(partitionOf(subject, partitions), crc % partitions, `${subject} of ${partitions}`);
    }
  }
});

Deno.test("docs/README_REDIS.md shows the test vectors of partitionOf()", async () => {
  const page = await Deno.readTextFile(new URL("docs/README_REDIS.md", root));
  const [section] = page.split("### Partitions")[1]!.split("\n## ");
  const rows = [...section!.matchAll(/^\| `(.+)` +\| `([0-9a-f]{8})` +\| (\d+) +\| (\d+) +\|$/gm)];
  const shown = rows.map((
    [, subject, crc, of8, of64],
  ) => [subject!, Number.parseInt(crc!, 16), Number(of8), Number(of64)]);
  const known = VECTORS.filter(([subject]) => subject !== "");
  assertEquals(shown, known.map(([subject, crc]) => [subject, crc, crc % 8, crc % 64]));
  for (const [subject, , of8, of64] of shown as [string, number, number, number][]) {
    assertEquals([partitionOf(subject, 8), partitionOf(subject, 64)], [of8, of64]);
  }
});

Deno.test("partitionOf() spreads UUIDs, numbered and prefixed subjects evenly", () => {
  const count = 64_000;
  const kinds: Record<string, (n: number) => string> = {
    "UUIDs": () => crypto.randomUUID(),
    "numbers": (n) => String(n),
    "padded numbers": (n) => String(n).padStart(12, "0"),
    "prefixed numbers": (n) => `customer:eu-west:auction-${n}`,
    "numbers with a suffix": (n) => `${n}@example.com`,
  };
  for (const [kind, subjectOf] of Object.entries(kinds)) {
    for (const partitions of [8, 64]) {
      const sizes = new Array<number>(partitions).fill(0);
      for (let n = 0; n < count; n++) sizes[partitionOf(subjectOf(n), partitions)]!++;
      const mean = count / partitions;
      // Five standard deviations of a random spread.
      const most = mean + 5 * Math.sqrt(mean);
      assert(Math.max(...sizes) < most, `${kind}, ${partitions} partitions: the largest has ${Math.max(...sizes)}`);
      assert(Math.min(...sizes) > mean - 5 * Math.sqrt(mean), `${kind}: the smallest has ${Math.min(...sizes)}`);
    }
  }
});

Deno.test("partitionOf() refuses what is no subject or no number of partitions", () => {
  for (const partitions of [0, -1, 1.5, NaN, Infinity, 1_025, 1_000_000, "8"]) {
    assertThrows(() => partitionOf("a", partitions as number), RangeError, "as partitions");
  }
  assertThrows(
    () => partitionOf(undefined as unknown as string, 8),
    TypeError,
    "Cannot find the partition of undefined",
  );
});
