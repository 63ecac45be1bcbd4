import { assertEquals, assertRejects } from "@std/assert";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import { ReplyError } from "../../../src/redis/connection/_reply_error.ts";
import type { Reply } from "../../../src/redis/connection/client.ts";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { testEventStore } from "../../../src/testing/mod.ts";
import { openConnection, storeUnderTest, TestKeys } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

// A node of a cluster with all slots refuses scripts with keys in several slots.
const SLOTS = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"];
let server: RedisServer;

Deno.test.beforeAll(async () => {
  server = await RedisServer.start(SLOTS);
  await server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  while (!(await server.cli("CLUSTER", "INFO")).includes("cluster_state:ok")) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
Deno.test.afterAll(() => server[Symbol.asyncDispose]());

// A prefix for scripts, which fails at the first command with an undeclared key.
const GUARD = `local redis = (function(real)
  local declared = {}
  for _, key in ipairs(KEYS) do declared[key] = true end
  local function check(name, ...)
    if name == 'TIME' or name == 'INFO' then return end
    local first = name == 'XREADGROUP' and (select(4, ...) == 'COUNT' and 7 or 5) or (name == 'XGROUP' or name == 'XINFO' or name == 'MEMORY') and 2 or 1
    for at = first, name == 'DEL' and select('#', ...) or first do
      local key = select(at, ...)
      if not declared[key] then error('UNDECLARED ' .. name .. ' ' .. key) end
    end
  end
  return setmetatable({
    call = function(...) check(...) return real.call(...) end,
    pcall = function(...) check(...) return real.pcall(...) end
  }, {__index = real})
end)(redis)
`;

/** A connection whose scripts fail if they touch undeclared keys. */
function confined(connection: TimedConnection): TimedConnection {
  return {
    send: async (command: readonly string[], timeout?: number): Promise<Reply> => {
      const [name, source, ...rest] = command;
      // The server does not have the guarded script, so that the caller sends its source next.
      if (name!.startsWith("EVALSHA")) throw new ReplyError("NOSCRIPT the script has a guard");
      if (name!.startsWith("EVAL")) return await connection.send([name!, GUARD + source, ...rest], timeout);
      return await connection.send(command, timeout);
    },
    open: async (options) => confined(await connection.open(options)),
    close: () => connection.close(),
  };
}

let tests = 0;
testEventStore("RedisStore confined to declared keys in one slot", () => {
  const keys = new TestKeys(server.url, `test${++tests}`);
  const open = async (url: URL) => new RedisStore(new SingleServer(confined(await openConnection(url)), url.host));
  return storeUnderTest(
    { url: keys.url, over: (store) => keys.over(store), [Symbol.asyncDispose]: async () => {} },
    open,
  );
}, { skip: { clock: "the server has its own clock; see clock_test.ts" } });

Deno.test("the guard refuses an undeclared key, and the server a key in another slot", async () => {
  const connection = confined(await openConnection(server.url));
  const run = (...keys: string[]) =>
    connection.send(["EVAL", "return redis.call('GET', 'b{x}')", `${keys.length}`, ...keys]);
  try {
    assertEquals(await run("b{x}"), null);
    await assertRejects(() => run("a{x}"), Error, "UNDECLARED GET b{x}");
    await assertRejects(() => run("b{x}", "b{y}"), Error, "CROSSSLOT");
  } finally {
    connection.close();
  }
});
