import type { RedisServer } from "../redis/_server.ts";
import type { SharedData } from "./_bench.ts";

/** Data in a temporary SQLite file. */
export async function sqliteData(): Promise<SharedData> {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  return {
    url: `sqlite:${directory}/events.db`,
    permissions: [`--allow-read=${directory}`, `--allow-write=${directory}`],
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Data on a server, which is stopped with the data. */
export function redisData(server: RedisServer): SharedData {
  const { host } = server.url;
  return {
    url: server.url.href,
    // @db/redis needs only the network; its stand-in may read the environment.
    permissions: [`--allow-net=${host}`, "--allow-env", "--allow-sys"],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
