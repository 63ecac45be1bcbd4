import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RedisServer } from "../redis/_server.ts";
import { ended, rest, run, start, until } from "./_example.ts";
import { holdMail } from "./_held_mail.ts";

/** Reads the output of crash: the two process ids, the rows of its table, and the rows of the ledger. */
function crashed(story: string): { pids: string[]; rows: string[][]; ledger: string[][] } {
  const [did = "", ledger = ""] = story.split("4  The card company's ledger");
  const cells = (text: string, columns: number) =>
    text.split("\n").map((line) => line.trim().split(/ {2,}/)).filter((row) =>
      row.length === columns && /^\w+-[\da-f]{4}$/.test(row[0]!)
    );
  return {
    pids: [...story.matchAll(/^\d {2}Process (\d+)/gm)].map(([, pid]) => pid!),
    rows: cells(did, 5),
    ledger: cells(ledger, 4),
  };
}

/** Asserts what every store guarantees: another process finished the work in first attempts, and no card paid twice. */
function assertRecovered(story: string): void {
  const { pids: [first, second], rows, ledger } = crashed(story);
  assert(first !== undefined && second !== undefined && first !== second);
  const held = Number(/Killed holding (\d+) deliveries/.exec(story)?.[1]);
  assert(held >= 3, "the killed process held several deliveries");
  const isSecond = (consumer: string | undefined) => consumer!.startsWith(`payment-${second}.`);
  const recovered = rows.filter(([, consumer, attempt, times]) =>
    isSecond(consumer) && attempt === "1" && times === "1"
  );
  assertEquals(recovered.length, held);
  assert(rows.every(([, , attempt]) => attempt === "1"), "a crash is no failed attempt");
  assertEquals(rows.filter(([, , , , card]) => card === "charged").length, 6);
  assertEquals(rows.filter(([, consumer, , , card]) => isSecond(consumer) && card !== "charged").length, 3);
  assertEquals([ledger.length, new Set(ledger.map(([auction]) => auction)).size], [6, 6]);
  assertStringIncludes(story, "Each auction was paid once.");
  assert(!story.includes("\x1b"), "a pipe gets no escape codes");
}

/** Starts crash in a directory, where it makes its ledger. */
function crash(directory: string, broker: string): Deno.ChildProcess {
  return start("crash", [`--broker=${broker}`], directory, directory);
}

for (const store of ["Redis", "SQLite"]) {
  Deno.test(`crash on ${store}: another process finishes the work of the killed one, and no card pays twice`, async () => {
    await using server = store === "Redis" ? await RedisServer.start() : undefined;
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      const broker = server === undefined ? `sqlite:${directory}/auction.db` : `redis://127.0.0.1:${server.port}`;
      for (const _time of ["first", "second"]) {
        const { code, stdout, stderr } = await ended(crash(directory, broker));
        assertEquals([code, stderr], [0, ""]);
        assertRecovered(stdout);
        assertEquals([...Deno.readDirSync(`${directory}/.tidings`)], [], "the ledger is deleted");
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("crash rejects a broker in memory, which two processes cannot share", async () => {
  const { code, stdout, stderr } = await run("crash", ["--broker=memory:"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^Cannot run crash.ts with "memory:": other processes cannot read memory[^\n]+redis:[^\n]+\n$/);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGKILL", 137]] as const) {
  Deno.test({
    name: `crash leaves no process behind when ${signal} ends it`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      const directory = await Deno.makeTempDir({ prefix: "tidings-" });
      try {
        const url = `sqlite:${directory}/auction.db`;
        await using _mail = await holdMail(url);
        const child = crash(directory, url);
        const stdout = child.stdout.getReader();
        await until(stdout, "Killed");
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
