import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RedisServer } from "../redis/_server.ts";
import { rest, run, start, until } from "./_example.ts";

/** What the crash said: the two processes, the rows of its table, and those of the ledger. */
function crashed(story: string): { pids: string[]; rows: string[][]; ledger: string[][] } {
  const [did = "", ledger = ""] = story.split("4  The card company's ledger");
  const cells = (text: string, columns: number) =>
    text.split("\n").map((line) => line.trim().split(/ {2,}/)).filter((row) =>
      row.length === columns && /^\w+-[\da-f]{4}$/.test(row[0]!)
    );
  return {
    pids: [...story.matchAll(/^\d {2}Process (\d+)/gm)].map(([, pid]) => pid!),
    rows: cells(did, 6),
    ledger: cells(ledger, 4),
  };
}

/** What is promised for every store: another process finished the work, uncounted, and nobody paid twice. */
function assertRecovered(story: string): void {
  const { pids: [first, second], rows, ledger } = crashed(story);
  assert(first !== undefined && second !== undefined && first !== second);
  const held = Number(/Killed holding (\d+)/.exec(story)?.[1]);
  assert(held >= 3, "it held several");
  const recovered = rows.filter(([, pid, consumer, attempt, times]) =>
    pid === second && consumer!.startsWith(`payment-${second}.`) && attempt === "1" && times === "1"
  );
  assertEquals(recovered.length, held);
  assert(rows.every(([, , , attempt]) => attempt === "1"), "dying is no failed attempt");
  assertEquals(rows.filter(([, , , , , card]) => card === "charged").length, 6);
  assertEquals(rows.filter(([, pid, , , , card]) => pid === second && card !== "charged").length, 3);
  assertEquals([ledger.length, new Set(ledger.map(([auction]) => auction)).size], [6, 6]);
  assertStringIncludes(story, "Everybody paid, and nobody paid twice.");
  assert(!story.includes("\x1b"), "a pipe gets no escape codes");
}

/** Runs the crash in a directory of its own, where its ledger is. */
function crash(directory: string, broker: string): Deno.ChildProcess {
  return start("crash", [`--broker=${broker}`], directory, directory);
}

for (const store of ["Redis", "SQLite"]) {
  Deno.test(`crash on ${store}: another process finishes the work of the killed one, and nobody pays twice`, async () => {
    await using server = store === "Redis" ? await RedisServer.start() : undefined;
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      const broker = server === undefined ? `sqlite:${directory}/auction.db` : `redis://127.0.0.1:${server.port}`;
      for (const _time of ["first", "second"]) {
        const { code, stdout, stderr } = await crash(directory, broker).output();
        const text = new TextDecoder();
        assertEquals([code, text.decode(stderr)], [0, ""]);
        assertRecovered(text.decode(stdout));
        assertEquals([...Deno.readDirSync(`${directory}/.tidings`)], [], "the ledger is gone");
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("crash refuses memory, since two processes cannot share it", async () => {
  const { code, stdout, stderr } = await run("crash", ["--broker=memory:"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^Cannot run crash.ts with "memory:": memory is its process's own[^\n]+redis:[^\n]+\n$/);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGKILL", 137]] as const) {
  Deno.test({
    name: `crash leaves no process behind when ${signal} ends it`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      const directory = await Deno.makeTempDir({ prefix: "tidings-" });
      try {
        const child = crash(directory, `sqlite:${directory}/auction.db`);
        const stdout = child.stdout.getReader();
        await until(stdout, "Killed");
        child.kill(signal);
        const endedAt = performance.now();
        await rest(stdout);
        assertEquals((await child.status).code, code);
        // Its children have its standard error too: this ends when the last of them does.
        assertEquals(await new Response(child.stderr).text(), signal === "SIGINT" ? "Interrupted\n" : "");
        assert(performance.now() - endedAt < 8_000);
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}
