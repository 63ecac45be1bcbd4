import { assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { load } from "../../src/store/_load.ts";

Deno.test("load() keeps the context of a handler from requests of a server", async () => {
  const context = new AsyncLocalStorage<string>();
  const handler = () => new Response(String(context.getStore()));
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
  const served = async () => await (await fetch(`http://127.0.0.1:${server.addr.port}/`)).text();
  // A module that no other test loads: only the first import() of a module makes its context leak.
  const source = `data:text/javascript,export const nth = ${Math.random()}`;
  const loaded = await context.run("handler", async () => {
    await load(() => import(source));
    return context.getStore();
  });
  assertEquals(loaded, "handler");
  assertEquals(await served(), "undefined");
});
