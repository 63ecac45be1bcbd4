// Guarantees 15, 17, 19, 30, 39, 45, 46: partitions that move while processes and a server fail at random, for minutes.

import { SqliteStore } from "../../../src/sqlite/sqlite_store.ts";
import { openStore } from "../../redis/_bench.ts";
import { Proxy } from "../../redis/_proxy.ts";
import { RedisServer } from "../../redis/_server.ts";
import { serverFaults } from "../_storm.ts";
import { SECONDS, SLOTS, spread } from "./_run.ts";

const CLIENTS = ["@db/redis", "node-redis", "ioredis"] as const;

Deno.test("Redis: partitions keep the order of each subject when everything fails at random", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-spread-" });
  await using server = await RedisServer.start();
  await using stack = new AsyncDisposableStack();
  const proxies = SLOTS.map(() => stack.use(new Proxy(server.port)));
  await spread("Redis", SECONDS, {
    folder,
    store: await openStore(server.url),
    failovers: false,
    slot: (at) => ({
      url: proxies[at]!.url.href,
      client: CLIENTS[at % CLIENTS.length]!,
      permissions: [
        "--allow-net=127.0.0.1",
        "--allow-env",
        "--allow-sys",
        `--allow-read=${folder}`,
        `--allow-write=${folder}`,
      ],
    }),
    faults: (storm, random) => serverFaults(storm, server, proxies, random),
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("SQLite: partitions keep the order of each subject when processes fail at random", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-spread-" });
  const file = `${folder}/events.db`;
  await spread("SQLite", SECONDS / 2, {
    folder,
    store: await SqliteStore.open(file),
    failovers: false,
    slot: () => ({
      url: `sqlite:${file}`,
      client: undefined,
      permissions: ["--allow-env", `--allow-read=${folder}`, `--allow-write=${folder}`],
    }),
    faults: () => [],
  });
  await Deno.remove(folder, { recursive: true });
});
