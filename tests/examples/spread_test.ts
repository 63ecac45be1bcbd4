import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RedisCluster } from "../redis/_cluster.ts";
import { RedisServer } from "../redis/_server.ts";
import { ended, flat, rest, run, start, until } from "./_example.ts";

/** The rows of the table that begins with these cells. */
function table(story: string, ...head: string[]): string[][] {
  const lines = story.split("\n").map((line) => line.trim().split(/ {2,}/));
  const at = lines.findIndex((line) => head.every((cell, nth) => line[nth] === cell));
  assert(at >= 0, `no table begins with ${head.join(", ")}`);
  return lines.slice(at + 1, lines.findIndex((line, nth) => nth > at && line[0] === ""));
}

/** Asserts that the partitions were spread before and after the kill, and that each auction's bids were in order. */
function assertSpread(story: string): void {
  const [before, after] = story.split("\n4  ") as [string, string];
  const sizes = (text: string) =>
    table(text, "process", "partitions").map(([, list]) => list!.split(", ").length).sort();
  assertEquals([sizes(before), sizes(after)], [[2, 3, 3], [4, 4]]);
  const [, killed] = story.match(/process (\d+) is killed/) ?? [];
  assertMatch(flat(story), /It had handled \d+ bids, and held [1-9]\d* more, of the partitions [\d, ]+\. Killed\./);
  assert(!table(after, "process", "partitions").some(([pid]) => pid === killed));

  const rows = table(story, "auction", "bids");
  assertEquals(rows.length, 12);
  for (const [auction, , , , order] of rows) assertEquals(order, "intact", auction);
  const taken = rows.filter(([, , , processes]) => new RegExp(`^${killed}, \\d+$`).test(processes!));
  assert(taken.length > 0, "another process went on with an auction of the killed one");
  assertStringIncludes(story, "Each auction's bids were handled in order.");
  assert(!story.includes("\x1b"), "a pipe gets no escape codes");
}

interface Place {
  readonly url: string;
  readonly server?: AsyncDisposable;
}

const STORES: Readonly<Record<string, (directory: string) => Promise<Place>>> = {
  SQLite: (directory) => Promise.resolve({ url: `sqlite:${directory}/auction.db` }),
  Redis: async () => {
    const server = await RedisServer.start();
    return { url: `redis://127.0.0.1:${server.port}`, server };
  },
  "a Redis Cluster": async () => {
    const server = await RedisCluster.start();
    return { url: server.url, server };
  },
};

for (const [store, open] of Object.entries(STORES)) {
  Deno.test(`spread on ${store}: each auction's bids are in order, though a process is killed`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    const { url, server } = await open(directory);
    try {
      for (const _time of ["first", "second"]) {
        const { code, stdout, stderr } = await ended(start("spread", [`--broker=${url}`], directory, directory));
        assertEquals([code, stderr], [0, ""]);
        assertSpread(stdout);
        assertEquals([...Deno.readDirSync(`${directory}/.tidings`)], [], "the book is deleted");
      }
    } finally {
      await server?.[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("spread rejects a broker in memory, which other processes cannot reach", async () => {
  const { code, stdout, stderr } = await run("spread", ["--broker=memory:"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^Cannot run spread.ts with "memory:": other processes cannot read memory[^\n]+redis:[^\n]+\n$/);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGKILL", 137]] as const) {
  Deno.test({
    name: `spread leaves no process behind when ${signal} ends it`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      const directory = await Deno.makeTempDir({ prefix: "tidings-" });
      try {
        const child = start("spread", [`--broker=sqlite:${directory}/auction.db`], directory, directory);
        const stdout = child.stdout.getReader();
        await until(stdout, "is killed");
        child.kill(signal);
        await rest(stdout);
        assertEquals((await child.status).code, code);
        // Its children inherit its standard error, which ends when the last of them ends.
        const stderr = await new Response(child.stderr).text();
        assertMatch(stderr, signal === "SIGINT" ? /^Interrupted[^\n]*\n$/ : /^$/);
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}
