import type { RedisServer } from "../redis/_server.ts";
import type { SharedData } from "./_bench.ts";

/** Data in a file of its own. */
export async function sqliteData(): Promise<SharedData> {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  return {
    url: `sqlite:${directory}/events.db`,
    permissions: [`--allow-read=${directory}`, `--allow-write=${directory}`],
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Data on a server of its own, which goes with it. */
export function redisData(server: RedisServer): SharedData {
  const { host } = server.url;
  return {
    url: server.url.href,
    // The client of Deno needs the net alone; a stand-in for it may look at its environment.
    permissions: [`--allow-net=${host}`, "--allow-env", "--allow-sys"],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
