import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePort } from "../redis/_free_port.ts";
import { RedisServer } from "../redis/_server.ts";
import { brokerPermissions } from "../../examples/_permissions.ts";
import { rest, run, start, until } from "./_example.ts";

/** What it says, without what differs from run to run. */
function lines(story: string): string[] {
  const plain = story.replaceAll(/\b\d{13}-\d+\b/g, "<position>").replaceAll(/\bchain \w{6}/g, "chain")
    .replaceAll(/-[\da-f]{4}\b/g, "").replaceAll(/(sqlite|redis):\S+\w/g, "<url>");
  // How often one that comes too early is tried depends on the time that others take.
  return plain.split("\n").map((line) => line.replaceAll(/ +/g, " ")).filter((line) => !/attempt \d+ failed/.test(line))
    .sort();
}

Deno.test("the demo on Redis tells the story that it tells on SQLite, again and again", async () => {
  await using server = await RedisServer.start();
  const redis = `--broker=redis://127.0.0.1:${server.port}`;
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  const sqlite = `--broker=sqlite:${directory}/auction.db`;
  try {
    for (const time of ["first", "second"]) {
      for (const name of ["run", "persistence", "replay"]) {
        const [there, here] = await Promise.all([run(name, [redis]), run(name, [sqlite], directory)]);
        assertEquals([there.code, there.stderr, here.code], [0, "", 0], `${name}, the ${time} time`);
        // Which of several events comes last, and which process shows them, is another matter.
        if (name === "run") assertEquals(lines(there.stdout), lines(here.stdout), `${name}, the ${time} time`);
        else assertStringIncludes(there.stdout, name === "replay" ? "nobody was charged again" : "Dead letters");
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("where nothing listens, an example says so in one line, at once", async () => {
  for (const name of ["run", "persistence", "replay", "crash"]) {
    const [began, port] = [performance.now(), freePort()];
    const { code, stdout, stderr } = await run(name, [`--broker=redis://127.0.0.1:${port}`]);
    assert(performance.now() - began < 5_000);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, new RegExp(`^Cannot connect to redis://127.0.0.1:${port}: nothing listens there; [^\\n]+\\n$`));
  }
});

Deno.test("run says that Redis is away, and goes on when it is back", async () => {
  await using server = await RedisServer.start();
  const child = start("run", [`--broker=redis://127.0.0.1:${server.port}`]);
  const stdout = child.stdout.getReader();
  await until(stdout, "1  Bidders register");
  await server.kill();
  await until(stdout, "Ctrl-C ends it");
  await server.restart();
  const end = await rest(stdout);
  assertEquals([await new Response(child.stderr).text(), (await child.status).code], ["", 0]);
  assertStringIncludes(end, "It is back.");
  assertStringIncludes(end, "Nothing is unread or pending");
});

Deno.test({
  name: "Ctrl-C ends run with 130 while Redis is away",
  // A process there cannot be sent Ctrl-C.
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using server = await RedisServer.start();
    const child = start("run", [`--broker=redis://127.0.0.1:${server.port}`]);
    const stdout = child.stdout.getReader();
    await until(stdout, "1  Bidders register");
    await server.kill();
    await until(stdout, "Ctrl-C ends it");
    const interruptedAt = performance.now();
    child.kill("SIGINT");
    await rest(stdout);
    assert(performance.now() - interruptedAt < 3_000);
    assertEquals((await child.status).code, 130);
    assertMatch(await new Response(child.stderr).text(), /^Interrupted[^\n]*\n$/);
  },
});

Deno.test("an example may reach the address of its broker, and nothing else", () => {
  const cases: [url: string, flags: string[]][] = [
    ["redis://127.0.0.1:7000", ["--allow-net=127.0.0.1:7000"]],
    ["rediss://user:secret@redis.example/1", ["--allow-net=redis.example:6379"]],
    ["redis://[::1]:7000", ["--allow-net=[::1]:7000"]],
    ["redis://", []],
    ["redis://x,y:1", []],
    ["memory:", []],
    ["sqlite:a/b.db?mode=x", ["--allow-read=a", "--allow-write=a"]],
    ["sqlite:b.db", ["--allow-read=.", "--allow-write=."]],
    ["pigeon:coop", []],
  ];
  for (const [url, flags] of cases) assertEquals(brokerPermissions(url), flags, url);
});
