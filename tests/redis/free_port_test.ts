import { assertEquals } from "@std/assert";
import { freePort } from "./_free_port.ts";

Deno.test("freePort() gives no port twice, also when nothing listens there yet", () => {
  const ports = Array.from({ length: 100 }, freePort);
  assertEquals(new Set(ports).size, 100);
});
