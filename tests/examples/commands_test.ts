import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CardProcessor, testCards } from "../../examples/auction/card_processor.ts";
import { type Ended, flat, rest, run, start, until } from "./_example.ts";
import { holdMail } from "./_held_mail.ts";

/** A temporary directory, and the URL of a database in a subdirectory that does not exist yet. */
function scratch(): Disposable & { path: string; broker: string } {
  const path = Deno.makeTempDirSync({ prefix: "tidings-" });
  return {
    path,
    broker: `--broker=sqlite:${path}/made/auction.db`,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** Asserts that an example succeeded, with an empty stderr and no colors in the pipe. */
function assertFine({ code, stdout, stderr }: Ended): void {
  assertEquals([code, stderr], [0, ""]);
  assert(!stdout.includes("\x1b"), "a pipe gets no escape codes");
}

/** Asserts that an example ended with this exit code and one line of error. */
function assertRefused({ code, stdout, stderr }: Ended, expected: number, why: string): void {
  assertEquals([code, stdout], [expected, ""]);
  assertStringIncludes(stderr, why);
  assertMatch(stderr, /^[^\n]+\n$/);
}

/** The rows of printed tables whose first cells are these. */
function rows(text: string, ...begin: string[]): string[][] {
  const cells = text.split("\n").map((line) => line.trim().split(/ {2,}/));
  return cells.filter((row) => row.length > begin.length && begin.every((cell, index) => row[index] === cell));
}

async function secrets(): Promise<{ numbers: string[]; tokens: string[] }> {
  const cards = Object.values(testCards);
  const processor = new CardProcessor();
  return {
    numbers: [...cards, ...cards.map((card) => card.replaceAll(" ", ""))],
    tokens: await Promise.all(cards.map((card) => processor.tokenize(card))),
  };
}

Deno.test("run, persistence and replay agree on the events in the store, also after a second run", async () => {
  using directory = scratch();
  const { path, broker } = directory;
  const said: string[] = [];
  const example = async (name: string) => {
    const ended = await run(name, [broker], path);
    assertFine(ended);
    said.push(ended.stdout);
    return ended.stdout;
  };

  for (const [times, bidders, auctions, payments] of [[1, 3, 5, 4], [2, 6, 11, 9]] as const) {
    const story = await example("run");
    assertMatch(flat(story), /payment attempt 1 failed, next in \d+ ms: Cannot charge cleo-\w+: not registered yet/);
    assertMatch(story, /payment +card was charged before, nothing more taken/);
    assertMatch(story, /ben-\w+, 75\.00 for clock-\w+: declined/);
    assertMatch(flat(story), /gives up, to the dead letters: Cannot charge for broken-\w+: its price is -1/);
    assertEquals(rows(story, "payment", "AuctionEnded"), [["payment", "AuctionEnded", "0", "0", "0", `${times}`]]);
    assertEquals(story.includes("A bidder of an earlier run wins"), times > 1);

    const survived = await example("persistence");
    assertEquals(rows(survived, "BidderRegistered")[0]?.slice(0, 2), ["BidderRegistered", `${bidders}`]);
    assertEquals(rows(survived, "AuctionEnded")[0]?.slice(0, 2), ["AuctionEnded", `${auctions}`]);
    assertEquals(rows(survived, "PaymentProcessed")[0]?.slice(0, 2), ["PaymentProcessed", `${payments}`]);
    assertEquals(rows(survived, "payment"), rows(story, "payment", "AuctionEnded"));
    assertEquals(rows(survived, "notification").length, 3);
    assertStringIncludes(survived, `dead letters of payment, ${times} of them AuctionEnded`);

    const replayed = await example("replay");
    const counts = [...replayed.matchAll(/replayed: (\d+)/g)].map(([, count]) => Number(count));
    assertEquals(counts[0], bidders + auctions + payments);
    assertEquals(counts.length, 3);
    assert(counts.every((count) => count > 0));
    assertStringIncludes(replayed, `${bidders} bidders; both ledgers are the same`);
    assertStringIncludes(replayed, "As before: no card was charged again");
    assertEquals(await example("persistence").then((text) => rows(text, "payment")), rows(survived, "payment"));
  }

  const { numbers, tokens } = await secrets();
  for (const secret of [...numbers, ...tokens, "tok_"]) assert(!said.join().includes(secret), "a secret was printed");
  for (const { name } of Deno.readDirSync(`${path}/made`)) {
    const bytes = new TextDecoder("latin1").decode(Deno.readFileSync(`${path}/made/${name}`));
    for (const number of numbers) assert(!bytes.includes(number), `a card number is in ${name}`);
    if (name === "auction.db") assertStringIncludes(bytes, tokens[0]!);
  }
});

Deno.test("run works in memory without any permission", async () => {
  const ended = await run("run", ["--broker=memory:"]);
  assertFine(ended);
  assertEquals(rows(ended.stdout, "payment", "AuctionEnded"), [["payment", "AuctionEnded", "0", "0", "0", "1"]]);
});

for (const name of ["persistence", "replay"]) {
  Deno.test(`${name} rejects a broker in memory, which has no past`, async () => {
    assertRefused(await run(name, ["--broker=memory:"]), 2, "memory ends with its process");
  });

  Deno.test(`${name} without a database says what to run first, and makes no file`, async () => {
    using directory = scratch();
    const { path, broker } = directory;
    const why = `deno task example run ${broker}`;
    assertRefused(await run(name, [broker], path), 1, why);
    assertEquals([...Deno.readDirSync(path)], []);
  });
}

Deno.test("an example prints --help, and rejects unknown flags and URLs", async (t) => {
  const cases: [options: string[], code: number, why: string][] = [
    [["--borker=memory:"], 2, "--borker=memory: is no flag"],
    [["-x"], 2, "-x is no flag"],
    [["memory:"], 2, "memory: is no flag"],
    [["--broker"], 2, "--broker needs a URL"],
    [["--broker=carrier-pigeon:coop"], 1, `Cannot connect to "carrier-pigeon:coop": give a URL that begins with`],
    [["--broker=sqlite:not_allowed.db"], 1, "Deno needs --allow-read"],
  ];
  for (const [options, code, why] of cases) {
    await t.step(options.join(), async () => assertRefused(await run("run", options), code, why));
  }
  for (const name of ["run", "persistence", "replay", "crash"]) {
    await t.step(`${name} --help`, async () => {
      const ended = await run(name, ["--help"]);
      assertFine(ended);
      assertStringIncludes(ended.stdout, `Usage: deno task example ${name} [--broker=URL]`);
    });
  }
});

Deno.test("run rejects a file that is no database, and leaves it unchanged", async () => {
  using directory = scratch();
  const file = `${directory.path}/notes.txt`;
  Deno.writeTextFileSync(file, "not a database, by no means\n");
  assertRefused(await run("run", [`--broker=sqlite:${file}`], directory.path), 1, "it is not an SQLite database");
  assertEquals(Deno.readTextFileSync(file), "not a database, by no means\n");
});

Deno.test({
  name: "Ctrl-C ends run with code 130 at once, and the next run goes on",
  // Windows cannot send Ctrl-C to a process.
  ignore: Deno.build.os === "windows",
  fn: async () => {
    using directory = scratch();
    const { path, broker } = directory;
    {
      Deno.mkdirSync(`${path}/made`);
      await using _mail = await holdMail(broker.slice("--broker=".length));
      const child = start("run", [broker], path);
      const stdout = child.stdout.getReader();
      await until(stdout, "0  Events from before");
      const interruptedAt = performance.now();
      // A launcher may forward a Ctrl-C that the terminal has sent to its child as well.
      for (let times = 0; times < 2; times++) child.kill("SIGINT");
      await rest(stdout);
      const { code, signal } = await child.status;
      assertEquals([code, signal], [130, null]);
      assertMatch(await new Response(child.stderr).text(), /^Interrupted[^\n]*\n$/);
      assert(performance.now() - interruptedAt < 10_000, "a close that waits for the delivery takes 30 s");
    }
    const next = await run("run", [broker], path);
    assertFine(next);
    assertStringIncludes(flat(next.stdout), "Nothing is unread or pending");
  },
});
