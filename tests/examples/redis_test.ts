import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePort } from "../redis/_free_port.ts";
import { RedisServer } from "../redis/_server.ts";
import { brokerPermissions } from "../../examples/_permissions.ts";
import { rest, run, start, until } from "./_example.ts";
import { holdMail } from "./_held_mail.ts";

/** The lines of an output in a fixed order, without the parts that differ between runs. */
function lines(story: string): string[] {
  const plain = story.replaceAll(/\b\d{13}-\d+\b/g, "<position>").replaceAll(/\bchain \w{6}/g, "chain")
    .replaceAll(/-[\da-f]{4}\b/g, "").replaceAll(/\s(sqlite|redis):\S+\w/g, " <url>");
  // The number of attempts depends on timing.
  return plain.split("\n").map((line) => line.replaceAll(/ +/g, " "))
    .filter((line) => !/attempt \d+ failed|not registered yet/.test(line)).sort();
}

Deno.test("the demo prints the same on Redis as on SQLite, also the second time", async () => {
  await using server = await RedisServer.start();
  const redis = `--broker=redis://127.0.0.1:${server.port}`;
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  const sqlite = `--broker=sqlite:${directory}/auction.db`;
  try {
    for (const time of ["first", "second"]) {
      for (const name of ["run", "persistence", "replay"]) {
        const [there, here] = await Promise.all([run(name, [redis]), run(name, [sqlite], directory)]);
        assertEquals([there.code, there.stderr, here.code], [0, "", 0], `${name}, the ${time} time`);
        // Process ids and the order of simultaneous events differ.
        if (name === "run") assertEquals(lines(there.stdout), lines(here.stdout), `${name}, the ${time} time`);
        else assertStringIncludes(there.stdout, name === "replay" ? "no card was charged again" : "Dead letters");
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("no example prints the password of its broker", async () => {
  await using server = await RedisServer.start(["--requirepass", "hush"]);
  const broker = `--broker=redis://:hush@127.0.0.1:${server.port}`;
  for (const [name, expected] of [["persistence", 1], ["run", 0], ["persistence", 0], ["replay", 0]] as const) {
    const { code, stdout, stderr } = await run(name, [broker]);
    assertEquals([code, `${stdout}${stderr}`.includes("hush")], [expected, false], `${name}: ${stderr}`);
    if (name !== "replay") assertStringIncludes(stdout + stderr, `redis://127.0.0.1:${server.port}`);
  }
});

Deno.test("an example whose server does not listen prints one line and ends", async () => {
  for (const name of ["run", "persistence", "replay", "crash"]) {
    const port = freePort();
    const { code, stdout, stderr } = await run(name, [`--broker=redis://127.0.0.1:${port}`]);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, new RegExp(`^Cannot connect to redis://127.0.0.1:${port}: nothing listens there; [^\\n]+\\n$`));
  }
});

Deno.test("run prints that it cannot reach Redis, and goes on when Redis is back", async () => {
  await using server = await RedisServer.start();
  await using mail = await holdMail(server.url);
  const child = start("run", [`--broker=redis://127.0.0.1:${server.port}`]);
  const stdout = child.stdout.getReader();
  await until(stdout, "0  Events from before");
  await server.kill();
  await until(stdout, "Ctrl-C ends the example");
  await server.restart();
  await until(stdout, "The store is back.");
  await mail.release();
  assertStringIncludes(await rest(stdout), "Nothing is unread or pending");
  assertEquals([await new Response(child.stderr).text(), (await child.status).code], ["", 0]);
});

Deno.test({
  name: "Ctrl-C ends run with code 130 while Redis is away",
  // Windows cannot send Ctrl-C to a process.
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using server = await RedisServer.start();
    await using _mail = await holdMail(server.url);
    const child = start("run", [`--broker=redis://127.0.0.1:${server.port}`]);
    const stdout = child.stdout.getReader();
    await until(stdout, "0  Events from before");
    await server.kill();
    await until(stdout, "Ctrl-C ends the example");
    const interruptedAt = performance.now();
    child.kill("SIGINT");
    await rest(stdout);
    assert(performance.now() - interruptedAt < 10_000, "a close that waits for Redis never ends");
    assertEquals((await child.status).code, 130);
    assertMatch(await new Response(child.stderr).text(), /^Interrupted[^\n]*\n$/);
    await server.restart();
  },
});

Deno.test("an example gets permission for its broker: its address or file, or any address with a cluster or Sentinels", () => {
  const cases: [url: string, flags: string[]][] = [
    ["redis://127.0.0.1:7000", ["--allow-net=127.0.0.1:7000"]],
    ["rediss://user:secret@redis.example/1", ["--allow-net=redis.example:6379"]],
    ["redis://[::1]:7000", ["--allow-net=[::1]:7000"]],
    ["redis+cluster://a:7000,b:7001", ["--allow-net"]],
    ["rediss+sentinel://a/mymaster", ["--allow-net"]],
    ["redis-cluster://a", ["--allow-net"]],
    ["redis://", []],
    ["redis://x,y:1", []],
    ["memory:", []],
    ["sqlite:a/b.db?mode=x", ["--allow-read=a", "--allow-write=a"]],
    ["sqlite:b.db", ["--allow-read=.", "--allow-write=."]],
    ["pigeon:coop", []],
  ];
  for (const [url, flags] of cases) assertEquals(brokerPermissions(url), flags, url);
});
