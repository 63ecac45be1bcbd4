import { assertEquals, assertRejects } from "@std/assert";
import { eventually } from "./_cluster.ts";
import { findServer, RedisServer } from "./_server.ts";

Deno.test("RedisServer.restart() rejects when another server has taken its port", async () => {
  await using server = await RedisServer.start();
  await server.kill();
  const args = ["--port", String(server.port), "--bind", "127.0.0.1", "--save", ""];
  const other = new Deno.Command(findServer(), { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  try {
    await eventually(async () => await server.cli("PING") === "PONG");
    await assertRejects(() => server.restart(), Error, "Address already in use");
  } finally {
    other.kill("SIGKILL");
    await other.status;
  }
  await server.restart();
  assertEquals(await server.cli("PING"), "PONG");
});
