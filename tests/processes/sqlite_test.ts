import { assertEquals } from "@std/assert";
import { Bench } from "./_bench.ts";
import { sqliteData } from "./_data.ts";
import { testProcesses } from "./process_suite.ts";

testProcesses("SQLite", sqliteData);

Deno.test("SQLite: connect() lets the process end without close() when no subscription and no listener is open", async () => {
  await using bench = await Bench.open(await sqliteData());
  const process = bench.start({ name: "linger" });
  assertEquals((await process.ended).code, 0);
  assertEquals((await bench.group("visitors")).consumers, []);
});
